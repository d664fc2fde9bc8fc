"""`python -m data_manager` is the console command `data-manager`."""

from data_manager.system.cli import main

if __name__ == "__main__":
    main()
