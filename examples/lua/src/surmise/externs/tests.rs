//! Tests of the functions that compiled code calls: against `language.sir`, and called as compiled code calls them.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod calls;
mod declared;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod harness;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod operations;
