//! The native side of the crate, with candidates written by hand.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod assembler;
mod assume;
mod deopt_all;
mod enter;
mod exit;
mod host;
mod lifecycle;
mod measure;
mod portable;
mod random;
mod roots;
mod stops;
mod stress;
mod threads;
mod units;
