//! `table.sort`.
//!
//! The order in which equal elements end up is visible, and programs depend on it without knowing. So where elements can be
//! told apart although they compare as equal, this makes the same comparisons and swaps as PUC's quicksort: median of three,
//! a pivot at the end, recursion into the smaller part. Integers, floats and strings sort faster with the comparison of the
//! language itself.

use crate::object::{LuaString, Table};
use crate::state::{Call, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

use super::{ALL, check, get, is_plain, length, set};

/// Parts smaller than this take the middle as pivot, without luck (`RANLIMIT`).
const SMALL: u32 = 100;
/// A part this many times larger than its sister means that pivots were badly chosen.
const IMBALANCE: u32 = 128;
/// What pivots are chosen with then. PUC takes time and clock; here a run is like another.
const LUCK: u32 = 0x9E37_79B9;

/// Slots of the window: the pivot, and two values at hand.
const PIVOT: u32 = 2;
const FIRST: u32 = 3;
const SECOND: u32 = 4;

pub(super) fn sort(state: &mut State, call: Call) -> Result<u32, Throw> {
    check(state, call, 0, ALL)?;
    let size = length(state, call, 0)?;
    if size <= 1 {
        return call.return_none();
    }
    if size >= i64::from(i32::MAX) {
        return Err(state.argument_error(call, 0, "array too big"));
    }
    let has_comparison = !call.is_none_or_nil(1);
    if has_comparison {
        state.check_function(call, 1)?;
    } else if is_plain(state, call, 0, ALL) && sort_alike(call.arg(0).as_table(), size as usize) {
        return call.return_none();
    }
    let call = state.reserve(call, SECOND + 1);
    let mut elements = Elements { state, call, has_comparison };
    elements.sort(1, size as u32, 0)?;
    call.return_none()
}

/// Sorts an array whose elements are all of one kind that no two equal elements of can be told apart. False: it is none.
fn sort_alike(table: *mut Table, size: usize) -> bool {
    let (values, count) = table::array(table);
    if count != size {
        return false;
    }
    // SAFETY: these are the table's elements, and nothing else runs while they are sorted. Numbers and strings are never
    // young, so there is nothing to tell the collector.
    let values = unsafe { std::slice::from_raw_parts_mut(values, size) };
    let tag = values[0].tag;
    if values.iter().any(|value| value.tag != tag) {
        return false;
    }
    if tag == Tag::Int as u64 {
        values.sort_unstable_by_key(|value| value.as_int());
    } else if tag == Tag::Float as u64 {
        // Zeros of both signs are equal but not the same; and what is no number has no place in an order.
        if values.iter().any(|value| value.as_float().is_nan() || value.as_float() == 0.0) {
            return false;
        }
        values.sort_unstable_by(|a, b| a.as_float().total_cmp(&b.as_float()));
    } else if tag == Tag::String as u64 {
        values.sort_unstable_by(|a, b| LuaString::bytes(a.as_string()).cmp(LuaString::bytes(b.as_string())));
    } else {
        return false;
    }
    true
}

/// An operand of a comparison.
#[derive(Clone, Copy)]
enum Operand {
    Element(u32),
    Pivot,
}

/// The elements of argument 0. Comparisons may run code that collects and changes the table, so everything is read again.
struct Elements<'a> {
    state: &'a mut State,
    call: Call,
    has_comparison: bool,
}

impl Elements<'_> {
    #[inline]
    fn read(&mut self, operand: Operand) -> Result<Value, Throw> {
        match operand {
            Operand::Element(index) => get(self.state, self.call, 0, i64::from(index)),
            Operand::Pivot => Ok(self.call.arg(PIVOT)),
        }
    }

    #[inline]
    fn less(&mut self, a: Operand, b: Operand) -> Result<bool, Throw> {
        let a = self.read(a)?;
        // Reading the other one may collect.
        self.call.set_arg(FIRST, a);
        let b = self.read(b)?;
        let a = self.call.arg(FIRST);
        if self.has_comparison {
            return Ok(!self.state.call_one(self.call.arg(1), &[a, b])?.is_falsy());
        }
        if a.is_float() && b.is_float() {
            return Ok(a.as_float() < b.as_float());
        }
        self.state.less_than(a, b)
    }

    #[inline]
    fn swap(&mut self, a: u32, b: u32) -> Result<(), Throw> {
        let object = self.call.arg(0);
        if object.is(Tag::Table) {
            let table = object.as_table();
            let (x, y) = (table::element(table, i64::from(a)), table::element(table, i64::from(b)));
            if !x.is_null() && !y.is_null() {
                // SAFETY: both are elements of the table's array part.
                let (u, v) = unsafe { (*x, *y) };
                if !u.is_nil() && !v.is_nil() {
                    // SAFETY: as above; the collector is told.
                    unsafe {
                        *x = v;
                        *y = u;
                    }
                    self.state.heap.barrier_element(table, a as usize - 1, v);
                    self.state.heap.barrier_element(table, b as usize - 1, u);
                    return Ok(());
                }
            }
        }
        self.swap_slowly(a, b)
    }

    #[inline(never)]
    fn swap_slowly(&mut self, a: u32, b: u32) -> Result<(), Throw> {
        let x = self.read(Operand::Element(a))?;
        self.call.set_arg(FIRST, x);
        let y = self.read(Operand::Element(b))?;
        self.call.set_arg(SECOND, y);
        set(self.state, self.call, 0, i64::from(a), y)?;
        set(self.state, self.call, 0, i64::from(b), self.call.arg(FIRST))
    }

    /// Sorts the elements `low..=high`.
    fn sort(&mut self, mut low: u32, mut high: u32, mut luck: u32) -> Result<(), Throw> {
        use Operand::Element;
        while low < high {
            if self.less(Element(high), Element(low))? {
                self.swap(low, high)?;
            }
            if high - low == 1 {
                break;
            }
            let middle = if high - low < SMALL || luck == 0 {
                low + (high - low) / 2
            } else {
                let quarter = (high - low) / 4;
                luck % (quarter * 2) + low + quarter
            };
            if self.less(Element(middle), Element(low))? {
                self.swap(middle, low)?;
            } else if self.less(Element(high), Element(middle))? {
                self.swap(middle, high)?;
            }
            if high - low == 2 {
                break;
            }
            let pivot = self.read(Element(middle))?;
            self.call.set_arg(PIVOT, pivot);
            self.swap(middle, high - 1)?;
            let middle = self.partition(low, high)?;
            let smaller = if middle - low < high - middle {
                self.sort(low, middle - 1, luck)?;
                let size = middle - low;
                low = middle + 1;
                size
            } else {
                self.sort(middle + 1, high, luck)?;
                let size = high - middle;
                high = middle - 1;
                size
            };
            if high.wrapping_sub(low) as i32 > 0 && (high - low) / IMBALANCE > smaller {
                luck = LUCK;
            }
        }
        Ok(())
    }

    /// Moves what is less than the pivot, at `high - 1`, before it, and what is not behind it; the pivot's place.
    fn partition(&mut self, low: u32, high: u32) -> Result<u32, Throw> {
        use Operand::{Element, Pivot};
        let (mut up, mut down) = (low, high - 1);
        loop {
            up += 1;
            while self.less(Element(up), Pivot)? {
                if up == high - 1 {
                    return Err(self.invalid_order());
                }
                up += 1;
            }
            down -= 1;
            while self.less(Pivot, Element(down))? {
                if down < up {
                    return Err(self.invalid_order());
                }
                down -= 1;
            }
            if down < up {
                self.swap(high - 1, up)?;
                return Ok(up);
            }
            self.swap(up, down)?;
        }
    }

    #[cold]
    fn invalid_order(&mut self) -> Throw {
        self.state.throw_message("invalid order function for sorting")
    }
}
