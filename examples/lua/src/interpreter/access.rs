//! Indexing off the fast path: caches that miss, inherited fields, other keys, metamethods, errors.

use crate::bytecode::{Instruction, Op};
use crate::cache::{self, FieldCache, Lookup, Store};
use crate::error::Operand;
use crate::interpreter::call::call_metamethod;
use crate::interpreter::{Next, THROW, hook, upvalue};
use crate::metamethod::Event;
use crate::state::{State, Throw};
use crate::table::{self, KeyError};
use crate::value::{Tag, Value};

/// Tables and other objects that an `__index` or `__newindex` chain may go through, as PUC's `MAXTAGLOOP`.
const MAXIMUM_CHAIN: u32 = 2000;

/// What an access came to.
enum Found {
    /// The value, or: stored.
    Value(Value),
    /// A function to be called with the receiver and the key (and the value).
    Call(Value, Value),
}

impl State {
    /// `object[key]` up to a metamethod that must be called. `operand` names the object in messages.
    fn find(&mut self, object: Value, key: Value, operand: Operand) -> Result<Found, Throw> {
        let mut receiver = object;
        let mut operand = operand;
        for _ in 0..MAXIMUM_CHAIN {
            let handler;
            if receiver.is(Tag::Table) {
                let table = receiver.as_table();
                let value = table::get(table, key);
                // SAFETY: the table is live.
                let metatable = unsafe { (*table).metatable };
                if !value.is_nil() || metatable.is_null() {
                    return Ok(Found::Value(value));
                }
                handler = table::metamethod(&self.heap, metatable, Event::Index);
                if handler.is_nil() {
                    return Ok(Found::Value(value));
                }
            } else {
                handler = self.metamethod(receiver, Event::Index);
                if handler.is_nil() {
                    return Err(self.index_error(receiver, key, operand));
                }
            }
            if handler.is(Tag::LuaClosure) || handler.is(Tag::Native) {
                return Ok(Found::Call(handler, receiver));
            }
            receiver = handler;
            operand = Operand::None;
        }
        Err(self.runtime_error("'__index' chain too long; possibly a loop"))
    }

    /// `object[key] = value` up to a metamethod that must be called.
    fn store(&mut self, object: Value, key: Value, value: Value, operand: Operand) -> Result<Found, Throw> {
        let mut receiver = object;
        let mut operand = operand;
        for _ in 0..MAXIMUM_CHAIN {
            let handler;
            if receiver.is(Tag::Table) {
                let table = receiver.as_table();
                // SAFETY: the table is live.
                let metatable = unsafe { (*table).metatable };
                let mut found = Value::NIL;
                if !metatable.is_null() {
                    found = table::metamethod(&self.heap, metatable, Event::NewIndex);
                    if !found.is_nil() && !table::get(table, key).is_nil() {
                        found = Value::NIL;
                    }
                }
                if found.is_nil() {
                    return match table::set(&mut self.heap, table, key, value) {
                        Ok(()) => Ok(Found::Value(Value::NIL)),
                        Err(KeyError::Nil) => Err(self.runtime_error("table index is nil")),
                        Err(KeyError::Nan) => Err(self.runtime_error("table index is NaN")),
                    };
                }
                handler = found;
            } else {
                handler = self.metamethod(receiver, Event::NewIndex);
                if handler.is_nil() {
                    return Err(self.index_error(receiver, key, operand));
                }
            }
            if handler.is(Tag::LuaClosure) || handler.is(Tag::Native) {
                return Ok(Found::Call(handler, receiver));
            }
            receiver = handler;
            operand = Operand::None;
        }
        Err(self.runtime_error("'__newindex' chain too long; possibly a loop"))
    }

    /// `object[key]`.
    pub fn index(&mut self, object: Value, key: Value) -> Result<Value, Throw> {
        match self.find(object, key, Operand::None)? {
            Found::Value(value) => Ok(value),
            Found::Call(function, receiver) => self.call_one(function, &[receiver, key]),
        }
    }

    /// `object[key] = value`.
    pub fn set_index(&mut self, object: Value, key: Value, value: Value) -> Result<(), Throw> {
        match self.store(object, key, value, Operand::None)? {
            Found::Value(_) => Ok(()),
            Found::Call(function, receiver) => {
                self.call(function, &[receiver, key, value], Some(0)).map(|_| ())
            }
        }
    }
}

/// `R[a] = object[key]` for any key.
unsafe fn get_any(
    state: &mut State,
    pc: Next,
    base: *mut Value,
    object: Value,
    key: Value,
    operand: Operand,
) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        (*state.runloop.frame).pc = pc;
        match state.find(object, key, operand) {
            Ok(Found::Value(value)) => {
                base.add((*pc.sub(1)).a as usize).write(value);
                pc
            }
            Ok(Found::Call(function, receiver)) => call_metamethod(state, pc, function, &[receiver, key]),
            Err(Throw) => THROW,
        }
    }
}

/// `R[a] = object[key of the cache]`, with the cache.
#[inline(always)]
unsafe fn get_field(state: &mut State, pc: Next, base: *mut Value, object: Value, operand: Operand) -> Next {
    // SAFETY: `pc` is behind an instruction with a cache, of the current Lua frame.
    unsafe {
        let i: &Instruction = &*pc.sub(1);
        let prototype = (*state.runloop.frame).prototype;
        let cache: *mut FieldCache = (*prototype).caches.as_mut_ptr().offset(i.d as isize);
        let to = base.add(i.a as usize);
        let lookup = if object.is(Tag::Table) {
            let table = object.as_table();
            if let Some(value) = cache::get_hit(&state.heap, &*cache, table) {
                to.write(value);
                return pc;
            }
            cache::get(&mut state.heap, cache, table)
        } else {
            if let Some(value) = cache::type_hit(&state.heap, &*cache, object.tag) {
                to.write(value);
                return pc;
            }
            let metatable = state.type_metatables[object.tag as usize];
            if metatable.is_null() || object.is(Tag::Userdata) {
                return get_any(state, pc, base, object, Value::string((*cache).key), operand);
            }
            cache::get_by_type(&mut state.heap, cache, object.tag, metatable)
        };
        match lookup {
            Lookup::Value(value) => {
                to.write(value);
                pc
            }
            Lookup::Handler { handler, receiver } => {
                let key = Value::string((*cache).key);
                if (handler.is(Tag::LuaClosure) || handler.is(Tag::Native)) && !receiver.is_nil() {
                    return call_metamethod(state, pc, handler, &[receiver, key]);
                }
                get_any(state, pc, base, object, key, operand)
            }
            Lookup::ChainTooLong => {
                (*state.runloop.frame).pc = pc;
                state.runtime_error("'__index' chain too long; possibly a loop");
                THROW
            }
        }
    }
}

/// `GetField`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_get_field(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the register lies in the frame's window.
    unsafe {
        let register = (*pc.sub(1)).b;
        get_field(state, pc, base, base.add(register as usize).read(), Operand::Register(register))
    }
}

/// `GetGlobal` and `GetUpvalueField`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_get_upvalue_field(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the closure at `base[-1]` has the upvalue.
    unsafe {
        let index = (*pc.sub(1)).b;
        let object = upvalue((*base.sub(1)).as_closure(), index as usize).read();
        get_field(state, pc, base, object, Operand::Upvalue(index))
    }
}

/// `GetMethod`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_get_method(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the registers lie in the frame's window.
    unsafe {
        let i = &*pc.sub(1);
        let object = base.add(i.b as usize).read();
        base.add(i.a as usize + 1).write(object);
        get_field(state, pc, base, object, Operand::Register(i.b))
    }
}

/// `SetField`, `SetFieldConstant` and `SetGlobal`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_set_field(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction with a cache, of the current Lua frame.
    unsafe {
        let i: &Instruction = &*pc.sub(1);
        let prototype = (*state.runloop.frame).prototype;
        let cache: *mut FieldCache = (*prototype).caches.as_mut_ptr().offset(i.d as isize);
        let (object, value, operand) = match i.op {
            Op::SetField => {
                (base.add(i.a as usize).read(), base.add(i.b as usize).read(), Operand::Register(i.a))
            }
            Op::SetFieldConstant => (
                base.add(i.a as usize).read(),
                (&(*prototype).constants)[i.b as usize | (i.c as usize) << 8],
                Operand::Register(i.a),
            ),
            _ => (
                upvalue((*base.sub(1)).as_closure(), i.b as usize).read(),
                base.add(i.a as usize).read(),
                Operand::Upvalue(i.b),
            ),
        };
        if object.is(Tag::Table) {
            let table = object.as_table();
            if cache::set_hit(&mut state.heap, &*cache, table, value) {
                return pc;
            }
            return match cache::set(&mut state.heap, cache, table, value) {
                Store::Done => {
                    if state.heap.requested != 0 {
                        hook(state, pc, base)
                    } else {
                        pc
                    }
                }
                Store::Handler { handler, receiver } => {
                    let key = Value::string((*cache).key);
                    if handler.is(Tag::LuaClosure) || handler.is(Tag::Native) {
                        return call_metamethod(state, pc, handler, &[receiver, key, value]);
                    }
                    set_any(state, pc, base, object, key, value, operand)
                }
                Store::ChainTooLong => {
                    (*state.runloop.frame).pc = pc;
                    state.runtime_error("'__newindex' chain too long; possibly a loop");
                    THROW
                }
            };
        }
        set_any(state, pc, base, object, Value::string((*cache).key), value, operand)
    }
}

/// `object[key] = value` for any key.
unsafe fn set_any(
    state: &mut State,
    pc: Next,
    base: *mut Value,
    object: Value,
    key: Value,
    value: Value,
    operand: Operand,
) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        (*state.runloop.frame).pc = pc;
        match state.store(object, key, value, operand) {
            Ok(Found::Value(_)) => {
                if state.heap.requested != 0 {
                    hook(state, pc, base)
                } else {
                    pc
                }
            }
            Ok(Found::Call(function, receiver)) => {
                call_metamethod(state, pc, function, &[receiver, key, value])
            }
            Err(Throw) => THROW,
        }
    }
}

/// `GetIndex`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_get_index(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the registers lie in the frame's window.
    unsafe {
        let i: &Instruction = &*pc.sub(1);
        let object = base.add(i.b as usize).read();
        let key = base.add(i.c as usize).read();
        if object.is(Tag::Table) {
            let table = object.as_table();
            let value = if key.is(Tag::String) {
                table::get_string(table, key.as_string())
            } else {
                table::get(table, key)
            };
            if !value.is_nil() || (*table).metatable.is_null() {
                base.add(i.a as usize).write(value);
                return pc;
            }
        }
        get_any(state, pc, base, object, key, Operand::Register(i.b))
    }
}

/// `GetInt`, and `GetIndex` with an integer.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_get_int(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the registers lie in the frame's window.
    unsafe {
        let i: &Instruction = &*pc.sub(1);
        let object = base.add(i.b as usize).read();
        let key = if i.op == Op::GetInt { i64::from(i.d) } else { (*base.add(i.c as usize)).as_int() };
        if object.is(Tag::Table) {
            let value = table::get_int(object.as_table(), key);
            if !value.is_nil() || (*object.as_table()).metatable.is_null() {
                base.add(i.a as usize).write(value);
                return pc;
            }
        }
        get_any(state, pc, base, object, Value::int(key), Operand::Register(i.b))
    }
}

/// `SetIndex`, `SetIndexConstant` and `SetInt`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_set_index(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the registers lie in the frame's window.
    unsafe {
        let i: &Instruction = &*pc.sub(1);
        let object = base.add(i.a as usize).read();
        let (key, value) = match i.op {
            Op::SetIndex => (base.add(i.b as usize).read(), base.add(i.c as usize).read()),
            Op::SetIndexConstant => {
                let constants = &(*(*state.runloop.frame).prototype).constants;
                (base.add(i.b as usize).read(), constants[i.d as usize])
            }
            _ => (Value::int(i64::from(i.d)), base.add(i.b as usize).read()),
        };
        if object.is(Tag::Table) && (*object.as_table()).metatable.is_null() {
            let table = object.as_table();
            let done = if key.is_int() {
                table::set_int(&mut state.heap, table, key.as_int(), value);
                true
            } else if key.is(Tag::String) {
                table::set_string(&mut state.heap, table, key.as_string(), value);
                true
            } else {
                table::set(&mut state.heap, table, key, value).is_ok()
            };
            if done {
                return if state.heap.requested != 0 { hook(state, pc, base) } else { pc };
            }
        }
        set_any(state, pc, base, object, key, value, Operand::Register(i.a))
    }
}

/// `SetList`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn set_list(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the registers, or the open list, are above `R[a]`.
    unsafe {
        let i: &Instruction = &*pc.sub(1);
        let at = base.add(i.a as usize);
        let table = (*at).as_table();
        let count = if i.b != 0 { i.b as usize } else { state.runloop.open_top.offset_from(at) as usize - 1 };
        table::set_list(&mut state.heap, table, i64::from(i.d) + 1, at.add(1), count);
        if state.heap.requested != 0 { hook(state, pc, base) } else { pc }
    }
}
