//! Units for tests and benches of deoptimization of everything, each as machine code and for the portable backend.
//!
//! | unit | what it does with its argument, an integer |
//! |---|---|
//! | `asking` | gives it to the host, and one more than what that gives |
//! | `summing` | calls another unit with it; the sum of the result, the argument and one |
//! | `recursive` | calls itself with one less, down to zero, where it asks the host; one more than it gets |
//! | `polling` | polls; one more |
//! | `busy` | counts it down to zero with a poll in each round; what its slot holds |
//! | `failing` | fails a guard at once |
//! | `slotted` | asks the host; what it gives, and what two slots hold |

pub mod machine_code;
pub mod portable;

use surmise_deopt::candidate::Image;
use surmise_deopt::entry::EntryCell;
use surmise_ir::entity::UnitId;

/// How frames are redirected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Return,
    Mark,
    /// In place, by the portable backend.
    Portable,
}

pub const METHODS: [Method; 3] = [Method::Return, Method::Mark, Method::Portable];

/// Recipe classes of the tests' language.
pub const VALUE: u32 = 2;
pub const ASSUMPTION: u32 = 3;

/// A unit's image for a method.
macro_rules! by_method {
    ($($name:ident($($argument:ident: $ty:ty),*);)+) => {
        $(pub fn $name(method: Method, $($argument: $ty),*) -> Image {
            match method {
                Method::Portable => portable::$name($($argument),*).into(),
                _ => machine_code::$name(method, $($argument),*).into(),
            }
        })+
    };
}

by_method! {
    asking(unit: UnitId);
    summing(unit: UnitId, cell: &'static EntryCell);
    recursive(unit: UnitId, cell: &'static EntryCell);
    polling(unit: UnitId);
    busy(unit: UnitId);
    failing(unit: UnitId);
    slotted(unit: UnitId);
}
