"""Files, tables and bars: what comes in and what goes out."""
