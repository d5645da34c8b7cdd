"""``python -m jaxcop.cli``, where the command is not on the path."""

from jaxcop.cli import main

main()
