//! Ottla.
fn main() {}
