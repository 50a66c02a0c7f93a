"""So that ``python -m ffcli`` works where the script is not on the path."""

from ffcli.app import main

main()
