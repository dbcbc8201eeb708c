//! The `surmise` command, built with the tests' own profile.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    surmise_command::main()
}
