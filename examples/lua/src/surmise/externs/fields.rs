//! Fields and elements: `x.name`, `x[key]` and stores to them, with everything that belongs to them.
//!
//! A site's own cache comes first (compiled code passes it), then the raw table, then the interpreter with its metamethods.
//! Sites whose shape is known don't come here at all.

use super::frame::{allocated, guest, state_of};
use super::{Context, Value};
use crate::cache::{self, FieldCache, Lookup, Store};
use crate::state::{State, Throw};
use crate::table;
use crate::value::Tag;

fn is_function(value: Value) -> bool {
    value.is(Tag::LuaClosure) || value.is(Tag::Native)
}

/// A field of a table that the site's cache does not know.
///
/// # Safety
/// As for [`guest`]; the object is a table, the cache is a site's.
#[inline(never)]
unsafe fn get_field_of_table(
    context: *mut Context,
    window: *mut Value,
    object: Value,
    cache: *mut FieldCache,
) -> Value {
    // SAFETY: handed on. Nothing has moved since compiled code passed the operands.
    unsafe {
        match cache::get(&mut state_of(context).heap, cache, object.as_table()) {
            Lookup::Value(value) => value,
            lookup => get_with_handler(context, window, object, cache, lookup),
        }
    }
}

/// A field of something else.
///
/// # Safety
/// As for [`guest`]; the cache is a site's.
#[inline(never)]
unsafe fn get_field_of_other(
    context: *mut Context,
    window: *mut Value,
    object: Value,
    cache: *mut FieldCache,
) -> Value {
    // SAFETY: as in `get_field_of_table`.
    unsafe {
        let state = state_of(context);
        if let Some(value) = cache::type_hit(&state.heap, &*cache, object.tag) {
            return value;
        }
        let metatable = state.type_metatables[object.tag as usize];
        let lookup = if metatable.is_null() || object.is(Tag::Userdata) {
            Lookup::Handler { handler: Value::NIL, receiver: Value::NIL }
        } else {
            cache::get_by_type(&mut state.heap, cache, object.tag, metatable)
        };
        match lookup {
            Lookup::Value(value) => value,
            lookup => get_with_handler(context, window, object, cache, lookup),
        }
    }
}

/// # Safety
/// As for [`guest`]; the lookup was made just now.
#[cold]
#[inline(never)]
unsafe fn get_with_handler(
    context: *mut Context,
    window: *mut Value,
    object: Value,
    cache: *mut FieldCache,
    lookup: Lookup,
) -> Value {
    // SAFETY: handed on.
    unsafe {
        let key = Value::string((*cache).key);
        guest(context, window, |state| match lookup {
            Lookup::Handler { handler, receiver } if is_function(handler) && !receiver.is_nil() => {
                state.call_one(handler, &[receiver, key])
            }
            Lookup::Handler { .. } => state.index(object, key),
            Lookup::Value(value) => Ok(value),
            Lookup::ChainTooLong => Err(state.runtime_error("'__index' chain too long; possibly a loop")),
        })
    }
}

/// A store to a field of a table that the site's cache does not know.
///
/// # Safety
/// As for [`guest`]; the object is a table, the cache is a site's.
#[inline(never)]
unsafe fn set_field_of_table(
    context: *mut Context,
    window: *mut Value,
    object: Value,
    cache: *mut FieldCache,
    value: Value,
) {
    // SAFETY: as in `get_field_of_table`.
    unsafe {
        let store = cache::set(&mut state_of(context).heap, cache, object.as_table(), value);
        if let Store::Done = store {
            state_of(context).end_claims();
            allocated(context, window, Value::NIL);
            return;
        }
        let key = Value::string((*cache).key);
        guest(context, window, |state| {
            match store {
                Store::Handler { handler, receiver } if is_function(handler) => {
                    state.call(handler, &[receiver, key, value], Some(0))?;
                }
                Store::Handler { .. } => state.set_index(object, key, value)?,
                Store::Done => {}
                Store::ChainTooLong => {
                    return Err(state.runtime_error("'__newindex' chain too long; possibly a loop"));
                }
            }
            Ok(Value::NIL)
        });
    }
}

/// `object[key] = value` with metamethods.
///
/// # Safety
/// As for [`guest`].
#[inline(never)]
unsafe fn set_slow(context: *mut Context, window: *mut Value, object: Value, key: Value, value: Value) {
    // SAFETY: handed on.
    unsafe {
        guest(context, window, |state: &mut State| -> Result<Value, Throw> {
            state.set_index(object, key, value)?;
            Ok(Value::NIL)
        });
    }
}

host_functions! {
    /// `object[key]` for the key of a cache.
    fn lua_get_field(context, window; object: any, _key: any, cache: raw FieldCache) -> any {
        if !object.is(Tag::Table) {
            return get_field_of_other(context, window, object, cache);
        }
        match cache::get_hit(&state_of(context).heap, &*cache, object.as_table()) {
            Some(value) => value,
            None => get_field_of_table(context, window, object, cache),
        }
    }

    /// `object[key] = value` for the key of a cache.
    fn lua_set_field(context, window; object: any, key: any, cache: raw FieldCache, value: any) {
        if !object.is(Tag::Table) {
            set_slow(context, window, object, key, value);
        } else if !cache::set_hit(&mut state_of(context).heap, &*cache, object.as_table(), value) {
            set_field_of_table(context, window, object, cache, value);
        }
    }

    /// `object[key]`.
    fn lua_get_index(context, window; object: any, key: any) -> any {
        if object.is(Tag::Table) {
            let table = object.as_table();
            let value = if key.is_int() { table::get_int(table, key.as_int()) } else { table::get(table, key) };
            if !value.is_nil() || (*table).metatable.is_null() {
                return value;
            }
        }
        guest(context, window, |state| state.index(object, key))
    }

    /// `object[key] = value`.
    fn lua_set_index(context, window; object: any, key: any, value: any) {
        if object.is(Tag::Table) {
            let table = object.as_table();
            // What is there already is no `__newindex`'s business.
            let is_raw = (*table).metatable.is_null() || !table::get(table, key).is_nil();
            if is_raw && table::set(&mut state_of(context).heap, table, key, value).is_ok() {
                state_of(context).end_claims();
                allocated(context, window, Value::NIL);
                return;
            }
        }
        set_slow(context, window, object, key, value);
    }
}
