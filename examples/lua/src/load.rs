//! From the compiler's plain data to prototypes and closures.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::bytecode::Prototype;
use crate::bytecode::{Instruction, LocalInfo};
use crate::cache::FieldCache;
use crate::compiler::{self, Constant, Function};
use crate::dump::{SIGNATURE, undump};
use crate::names::Code;
use crate::object::{LuaClosure, LuaString};
use crate::state::{State, Throw};
use crate::unit::UnitState;
use crate::value::{Tag, Value};

impl Code for Prototype {
    fn code(&self) -> &[Instruction] {
        &self.code
    }

    fn locals(&self) -> &[LocalInfo] {
        &self.locals
    }

    fn upvalue_name(&self, index: u8) -> &str {
        self.upvalues.get(index as usize).map_or("?", |upvalue| &upvalue.name)
    }

    fn string_constant(&self, number: usize) -> Option<&[u8]> {
        let value = self.constants.get(number)?;
        value.is(Tag::String).then(|| LuaString::bytes(value.as_string()))
    }

    fn cache_key(&self, cache: usize) -> &[u8] {
        self.caches.get(cache).map_or(b"?", |cache| LuaString::bytes(cache.key))
    }
}

/// What compiling takes for a byte of source, at most: tree, code and constants of the shortest statements there are.
const BYTES_FOR_A_BYTE: usize = 80;

impl State {
    /// Compiles a chunk, or takes a precompiled one: a closure whose first upvalue is `environment`.
    ///
    /// # Errors
    /// A syntax error's message, or what is wrong with a precompiled chunk, as the error value.
    pub fn load(
        &mut self,
        source: &[u8],
        chunk_name: &str,
        environment: Value,
    ) -> Result<*mut LuaClosure, Throw> {
        if source.first() == SIGNATURE.first() {
            return match undump(source) {
                Ok((function, name)) => Ok(self.instantiate(function, &name, environment)),
                Err(error) => {
                    let name = match chunk_name.as_bytes().first() {
                        Some(b'@' | b'=') => &chunk_name[1..],
                        Some(0x1b) => "binary string",
                        _ => chunk_name,
                    };
                    let text = format!("{name}: bad binary format ({error})");
                    let message = self.string_value(text.as_bytes());
                    Err(self.throw_value(message))
                }
            };
        }
        self.check_room(source.len().saturating_mul(BYTES_FOR_A_BYTE))?;
        match compiler::compile(source, chunk_name) {
            Ok(function) => Ok(self.instantiate(function, chunk_name, environment)),
            Err(error) => {
                let message = self.string_value(&error.message);
                Err(self.throw_value(message))
            }
        }
    }

    /// Makes a closure of a compiled chunk.
    pub fn instantiate(
        &mut self,
        function: Function,
        chunk_name: &str,
        environment: Value,
    ) -> *mut LuaClosure {
        if function.inspects_frames {
            self.interpret_only();
        }
        let prototype = self.make_prototype(function, &Rc::from(chunk_name), &mut FxHashMap::default());
        if let Some(connection) = &mut self.surmise {
            // SAFETY: a prototype of this state.
            unsafe { connection.register_chunk(prototype) };
        }
        // SAFETY: the prototype was just made; nothing collects before the closure is complete.
        unsafe {
            let infos = &(*prototype).upvalues;
            let closure = self.heap.new_closure(prototype, infos.len() as u32);
            for (i, info) in infos.iter().enumerate() {
                let value = if i == 0 { environment } else { Value::NIL };
                let value = if info.is_cell { Value::cell(self.heap.new_cell(value)) } else { value };
                LuaClosure::upvalues(closure).add(i).write(value);
            }
            closure
        }
    }

    /// Equal texts of a chunk are one object, long ones too.
    fn make_prototype(
        &mut self,
        function: Function,
        source: &Rc<str>,
        texts: &mut FxHashMap<Vec<u8>, Value>,
    ) -> *mut Prototype {
        let constants: Box<[Value]> = function
            .constants
            .into_iter()
            .map(|constant| match constant {
                Constant::Nil => Value::NIL,
                Constant::Bool(value) => Value::bool(value),
                Constant::Int(value) => Value::int(value),
                Constant::Float(value) => Value::float(value),
                Constant::String(bytes) => {
                    let text = Value::string(self.heap.intern(&bytes));
                    if LuaString::is_interned(text.as_string()) {
                        return text;
                    }
                    *texts.entry(bytes.into()).or_insert(text)
                }
            })
            .collect();
        let caches = function
            .caches
            .iter()
            .map(|constant| FieldCache::new(constants[*constant as usize].as_string()))
            .collect();
        let children =
            function.children.into_iter().map(|child| self.make_prototype(child, source, texts)).collect();
        let id = self.prototypes.len() as u32;
        let mut prototype = Box::new(Prototype {
            code: function.code.into(),
            constants,
            caches,
            children,
            upvalues: function.upvalues.into(),
            parameter_count: function.parameter_count,
            is_vararg: function.is_vararg,
            register_count: function.register_count,
            source: source.clone(),
            line_defined: function.line_defined,
            last_line: function.last_line,
            lines: function.lines.into(),
            locals: function.locals.into(),
            unit: UnitState::new(id),
        });
        let pointer: *mut Prototype = &mut *prototype;
        self.prototypes.push(prototype);
        self.watch_unit(pointer);
        pointer
    }
}
