"""The Helm chart, rendered by Helm's own library, and what it renders held against what the program takes."""
