//! The one table of guard reasons: what a guard checks, in the words of reports and statistics.
//!
//! Every guard instruction (`guard_kind`, `guard_not_kind`, `guard_true`, `guard_false`) carries one of these. The reason does
//! not change what the instruction does; it says which kind of guess failed, and so what the next candidate does without.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! guard_reasons {
    ($($name:ident = $text:literal: $doc:literal;)*) => {
        /// Which kind of guess a guard checks.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum GuardReason { $(#[doc = $doc] $name,)* }

        impl GuardReason {
            /// All reasons, in the order of the table.
            pub const ALL: &'static [GuardReason] = &[$(GuardReason::$name,)*];
            /// The reason's name in the text form.
            pub fn name(self) -> &'static str {
                match self { $(GuardReason::$name => $text,)* }
            }
            /// What the guess was, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(GuardReason::$name => $doc,)* }
            }
        }
    };
}

guard_reasons! {
    Argument = "argument": "A parameter, or a register at a loop's entry, has the kind that was seen.";
    Kind = "kind": "An operand has the kind that was seen.";
    Result = "result": "A call or a load gave the kind that was seen.";
    Shape = "shape": "An object has the shape that was seen.";
    Callee = "callee": "The called value is the function that was seen.";
    Bounds = "bounds": "An index lies inside the array part.";
    Present = "present": "A loaded element is not absent, so no fallback lookup is due.";
    Overflow = "overflow": "An integer result fits its representation.";
    Exact = "exact": "A float has an exact integer value.";
    Nonzero = "nonzero": "A divisor is not zero.";
    Branch = "branch": "A branch goes the only way it was seen to go.";
    Epoch = "epoch": "Class-like objects have not changed since the lookup was resolved.";
    Condition = "condition": "Another condition that an operation's case asks for.";
    Stack = "stack": "There is room for one more frame on the stacks.";
}

impl GuardReason {
    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<GuardReason> {
        GuardReason::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for GuardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
