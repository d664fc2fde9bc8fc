"""The commands of `data-manager`, one module per family; each imports what it needs when it runs."""
