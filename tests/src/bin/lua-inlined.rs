//! The `lua` command with units that have inlined what they are certain to call.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    surmise_lua::command::main_with(Some(surmise_tests::inlined::lua::units))
}
