"""What `data-manager doctor` looks at: a module for each part, which measures, judges, and says what to do."""
