//! The `surmise` command: see the library beside it.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    surmise_command::main()
}
