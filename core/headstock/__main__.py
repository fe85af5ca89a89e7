"""``python -m headstock`` is the same as ``headstock``."""

from headstock.cli.main import main

main()
