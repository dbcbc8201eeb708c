//! The notation for functions that compiled code calls.
//!
//! ```text
//! host_functions! {
//!     /// What it does.
//!     fn lua_name(context, window; x: any, y: i64, table: ref Table, cache: raw FieldCache) -> any { ... }
//! }
//! ```
//!
//! The types are those of `language.sir`, so that a test can compare the two; what a `ref` or `raw` points to follows the type.
//! Without `window` the function is one whose declaration does not ask for it. From this the macro makes the machine
//! signature (System V, see `Extern` in `surmise-ir`):
//!
//! | type | operand | result |
//! |---|---|---|
//! | `any` | two words, tag and payload | [`Value`](crate::value::Value) in rax and rdx |
//! | `i64`, `f64` | `i64`, `f64` | `i64`, `f64` |
//! | `i1` | | `u64`, 0 or 1 |
//! | `ref T`, `raw T` | `*mut T` | `*mut T` |

/// Declares functions for compiled code, and the constant `FUNCTIONS` that lists them.
macro_rules! host_functions {
    (
        $(
            $(#[$attribute:meta])*
            fn $name:ident($context:tt $(, $window:ident)?; $($operand:ident: $kind:ident $($of:ty)?),*)
            $(-> $result:ident $($result_of:ty)?)? $body:block
        )*
    ) => {
        $(
            host_functions! {
                @unpack [$(#[$attribute])* $name [$($result $($result_of)?)?] $body]
                [$context: *mut Context, $($window: *mut Value,)?]
                []
                [$([$operand: $kind $($of)?])*]
            }
        )*

        /// The functions of this file.
        pub(super) const FUNCTIONS: &[$crate::surmise::externs::HostFunction] = &[
            $(
                $crate::surmise::externs::HostFunction {
                    name: stringify!($name),
                    parameters: &[$(stringify!($kind)),*],
                    result: host_functions!(@name $($result)?),
                    needs_window: host_functions!(@has $($window)?),
                    address: $name as *const u8,
                },
            )*
        ];
    };

    (@name) => { None };
    (@name $result:ident) => { Some(stringify!($result)) };
    (@has) => { false };
    (@has $window:ident) => { true };

    // One operand after the other becomes parameters; a boxed one two of them. (Each step's `tag` and `payload` are names of
    // their own.)
    (@unpack $head:tt [$($parameters:tt)*] [$($values:tt)*] [[$operand:ident: any] $($rest:tt)*]) => {
        host_functions! {
            @unpack $head
            [$($parameters)* tag: u64, payload: u64,]
            [$($values)* let $operand = Value { tag, payload };]
            [$($rest)*]
        }
    };
    (@unpack $head:tt [$($parameters:tt)*] $values:tt [[$operand:ident: i64] $($rest:tt)*]) => {
        host_functions! { @unpack $head [$($parameters)* $operand: i64,] $values [$($rest)*] }
    };
    (@unpack $head:tt [$($parameters:tt)*] $values:tt [[$operand:ident: f64] $($rest:tt)*]) => {
        host_functions! { @unpack $head [$($parameters)* $operand: f64,] $values [$($rest)*] }
    };
    (@unpack $head:tt [$($parameters:tt)*] $values:tt [[$operand:ident: $kind:ident $of:ty] $($rest:tt)*]) => {
        host_functions! { @unpack $head [$($parameters)* $operand: *mut $of,] $values [$($rest)*] }
    };
    (
        @unpack [$(#[$attribute:meta])* $name:ident [$($result:tt)*] $body:block]
        [$($parameters:tt)*] [$($values:tt)*] []
    ) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// Called by compiled code, as the language declares it.
        #[allow(unused_unsafe, reason = "some need nothing but their operands")]
        unsafe extern "C" fn $name($($parameters)*) -> host_functions!(@type $($result)*) {
            $($values)*
            // SAFETY: compiled code passes its runloop's context and operands of the declared types: pointers are to live objects
            // of the type that the declaration means, and the window is the end of its own.
            unsafe { $body }
        }
    };

    (@type) => { () };
    (@type any) => { Value };
    (@type i64) => { i64 };
    (@type f64) => { f64 };
    (@type i1) => { u64 };
    (@type $kind:ident $of:ty) => { *mut $of };
}
