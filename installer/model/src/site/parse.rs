//! Reading a site file: every error with file, line, column, the line itself and, for a misspelt key, the nearest known one.
