"""Housekeeping: what is too old goes, space is watched, and the catalog says what there is."""
