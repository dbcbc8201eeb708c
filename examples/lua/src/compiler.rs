//! From source to bytecode.
//!
//! `compile` parses a chunk ([`crate::parser`]) and generates code from the tree, function by function. The result is plain
//! data without heap pointers; the loader turns it into prototypes.
//!
//! Registers are a stack: locals at the bottom, in order of their declarations, temporaries above. An expression is
//! compiled *towards* a register, so that results land where they are needed: in a new local, in a call's argument, or,
//! if nothing in between reads it, in the variable that is being assigned. Conditions are compiled to jumps, and a value is
//! made of a condition only where one is asked for.

mod arithmetic;
mod assignment;
mod condition;
mod emit;
mod expression;
mod loops;
mod statement;
mod suffix;
mod table;

use crate::ast::*;
use crate::bytecode::{Instruction, LocalInfo, UpvalueInfo, UpvalueSource};
use crate::parser;

pub use crate::lexer::SyntaxError;
use emit::FunctionState;

/// Longest string that an instruction with a cache may have as its key.
const MAX_FIELD_NAME: usize = 40;

/// The one thing that the code generator can fail for: a function needs more registers than there are.
struct TooManyRegisters;

type Generate<T> = Result<T, TooManyRegisters>;

/// A constant of a function.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum Constant {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Box<[u8]>),
}

/// A compiled function.
#[derive(Clone)]
pub struct Function {
    /// The instructions.
    pub code: Vec<Instruction>,
    /// The constants.
    pub constants: Vec<Constant>,
    /// For each cache of the code the constant that is its key: always a string of at most 40 bytes.
    pub caches: Vec<u32>,
    /// Functions inside this one.
    pub children: Vec<Function>,
    /// Captured variables. The main function of a chunk has one, `_ENV`, whose source means nothing.
    pub upvalues: Vec<UpvalueInfo>,
    /// How many fixed parameters.
    pub parameter_count: u8,
    /// Whether it takes further arguments.
    pub is_vararg: bool,
    /// Registers that the window needs.
    pub register_count: u8,
    /// Line of `function`; 0 for a main chunk.
    pub line_defined: u32,
    /// Line of the closing `end`; 0 for a main chunk.
    pub last_line: u32,
    /// Line of each instruction.
    pub lines: Vec<u32>,
    /// Local variables, in order of their starts.
    pub locals: Vec<LocalInfo>,
    /// A main chunk: whether it mentions functions of `debug` that look into frames or follow their steps.
    pub inspects_frames: bool,
}

/// Compiles a chunk. The name is as `load` receives it.
pub fn compile(source: &[u8], chunk_name: &str) -> Result<Function, SyntaxError> {
    let ast = parser::parse(source, chunk_name)?;
    let mut generator = Generator {
        ast: &ast,
        registers: vec![0; ast.variables.len()],
        label_positions: vec![None; ast.labels.len()],
        label_jumps: vec![emit::JumpList::EMPTY; ast.labels.len()],
        latest: ExpressionId(0),
        state: FunctionState::new(),
    };
    let inspects_frames = ast.inspects_frames;
    let function = generator.function(FunctionId(0), None).map_err(|TooManyRegisters| {
        let message = "function or expression needs too many registers";
        parser::error_behind(source, chunk_name, generator.latest, message)
    })?;
    Ok(Function { inspects_frames, ..function })
}

/// The code generator: one for a chunk.
struct Generator<'a> {
    ast: &'a Ast,
    /// The register of each variable that is in scope.
    registers: Vec<u8>,
    /// Where labels stand in the code, of those that have been reached.
    label_positions: Vec<Option<u32>>,
    /// Jumps to labels that have not been reached.
    label_jumps: Vec<emit::JumpList>,
    /// The expression that was pushed last.
    latest: ExpressionId,
    /// The function that is being compiled.
    state: FunctionState,
}

impl Generator<'_> {
    /// Compiles a function. `name` is the variable of a `local function` statement, captured from the closure itself.
    fn function(&mut self, id: FunctionId, name: Option<VariableId>) -> Generate<Function> {
        let ast = self.ast;
        let node = ast.functions[id.0 as usize].as_ref().expect("the parser has closed all functions");
        let outer = std::mem::replace(&mut self.state, FunctionState::new());
        self.state.line = node.line_defined;
        self.state.upvalue_is_cell =
            node.upvalues.iter().map(|upvalue| ast.variable(upvalue.variable).is_cell()).collect();
        self.state.upvalue_is_environment =
            node.upvalues.iter().map(|upvalue| ast.symbols.bytes(upvalue.name) == b"_ENV").collect();
        let first = self.reserve(node.parameters.count)?;
        self.declare_run(node.parameters, first);
        self.block(node.body)?;
        if node.last_line > 0 {
            self.state.line = node.last_line;
        }
        self.final_return();
        self.close_locals(0);
        let mut state = std::mem::replace(&mut self.state, outer);
        state.thread_jumps();
        let upvalues = node.upvalues.iter().map(|upvalue| UpvalueInfo {
            name: ast.symbols.name(upvalue.name).into(),
            source: match upvalue.capture {
                Capture::Upvalue(index) => UpvalueSource::Upvalue(index),
                Capture::Local if name == Some(upvalue.variable) => UpvalueSource::Itself,
                Capture::Local => UpvalueSource::Register(self.registers[upvalue.variable.0 as usize]),
            },
            is_cell: ast.variable(upvalue.variable).is_cell(),
        });
        Ok(Function {
            upvalues: upvalues.collect(),
            constants: state.constants,
            caches: state.caches,
            children: state.children,
            parameter_count: node.parameters.count as u8,
            is_vararg: node.is_vararg,
            register_count: state.register_count.max(2) as u8,
            line_defined: node.line_defined,
            last_line: node.last_line,
            code: state.code,
            lines: state.lines,
            locals: state.locals,
            inspects_frames: false,
        })
    }
}
