"""Results as tables and figures. Import ``jaxcop.report.figures`` by name: it alone needs matplotlib."""
