//! Pure: how local paths become keys, and keys become safe relative paths.
