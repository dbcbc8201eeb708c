//! The `lua` command.
fn main() {}
