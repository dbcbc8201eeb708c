//! Scopes: what a name means where it stands, where a `goto` goes, and which variables need a cell.
//!
//! The parser tells of every declaration, use, block and label in source order; Lua's rules allow to decide at once, so
//! that errors come up at the same token as in Lua itself. What only the end of the chunk shows is whether a captured variable
//! is also assigned: both facts are gathered on the [`Variable`].

use crate::ast::*;
use crate::lexer::symbols::{Symbol, Symbols};

/// Most local variables that a function may have in scope at one time.
const MAX_LOCALS: usize = 200;
/// Most variables that a function may capture: their numbers are bytes.
const MAX_UPVALUES: usize = 255;

/// A broken scoping rule.
pub enum ScopeError {
    /// The message is complete.
    Semantic(String),
    /// The message names the token at which it came up.
    Limit(String),
}

/// What a name means.
#[derive(Clone, Copy)]
pub enum Meaning {
    /// A local variable of the current function.
    Local(VariableId),
    /// A captured variable, by its number in the current function.
    Upvalue(u8),
    /// A compile-time constant.
    Constant(Expression),
    /// No variable in scope: a field of `_ENV`.
    Global,
}

#[derive(Clone, Copy)]
struct Declaration {
    name: Symbol,
    variable: VariableId,
    is_read_only: bool,
    /// The value, of a compile-time constant.
    constant: Option<Expression>,
}

/// A `goto` (or, with `goto: None`, a `break` outside of any loop) whose target has not been seen.
struct Pending {
    goto: Option<GotoId>,
    name: Symbol,
    line: u32,
    /// The end of the declarations that are in scope; leaving a block lowers it.
    active_end: usize,
}

struct VisibleLabel {
    name: Symbol,
    line: u32,
    label: LabelId,
}

struct BlockScope {
    first_declaration: usize,
    first_label: usize,
    first_pending: usize,
    to_be_closed: u32,
    is_loop: bool,
}

struct FunctionScope {
    line_defined: u32,
    first_declaration: usize,
    first_label: usize,
    /// Declarations below this index are in scope; those above wait for their initializers.
    active_end: usize,
    to_be_closed: u32,
    blocks: Vec<BlockScope>,
    upvalues: Vec<Upvalue>,
}

/// All scopes that are open at the current token, and what is known of the variables, labels and jumps so far.
pub struct Scopes {
    functions: Vec<FunctionScope>,
    declarations: Vec<Declaration>,
    visible_labels: Vec<VisibleLabel>,
    pending: Vec<Pending>,
    /// All variables of the chunk.
    pub variables: Vec<Variable>,
    /// All labels of the chunk.
    pub labels: Vec<Label>,
    /// All gotos of the chunk.
    pub gotos: Vec<Option<LabelId>>,
}

impl Scopes {
    /// The scopes around a chunk: `_ENV` alone.
    pub fn new(environment: Symbol) -> Scopes {
        Scopes {
            functions: Vec::new(),
            declarations: Vec::new(),
            visible_labels: Vec::new(),
            pending: Vec::new(),
            variables: vec![Variable { name: environment, is_captured: true, is_assigned: false }],
            labels: Vec::new(),
            gotos: Vec::new(),
        }
    }

    /// Has all captured variables but `_ENV` live in cells, as if they were assigned.
    pub fn assign_captured(&mut self) {
        for variable in &mut self.variables[1..] {
            variable.is_assigned |= variable.is_captured;
        }
    }

    fn current(&self) -> &FunctionScope {
        self.functions.last().expect("a function is open while the parser runs")
    }

    fn current_mut(&mut self) -> &mut FunctionScope {
        self.functions.last_mut().expect("a function is open while the parser runs")
    }

    /// Enters a function; the outermost one, a chunk, captures `_ENV`.
    pub fn open_function(&mut self, line_defined: u32) {
        let mut upvalues = Vec::new();
        if self.functions.is_empty() {
            let name = self.variables[ENVIRONMENT.0 as usize].name;
            upvalues.push(Upvalue { name, variable: ENVIRONMENT, capture: Capture::Local });
        }
        let end = self.declarations.len();
        self.functions.push(FunctionScope {
            line_defined,
            first_declaration: end,
            first_label: self.visible_labels.len(),
            active_end: end,
            to_be_closed: 0,
            blocks: Vec::new(),
            upvalues,
        });
        self.open_block(false);
    }

    /// Leaves a function and hands out what it captured.
    pub fn close_function(&mut self, symbols: &Symbols) -> Result<Vec<Upvalue>, ScopeError> {
        let first_pending = self.current().blocks[0].first_pending;
        if let Some(pending) = self.pending.get(first_pending) {
            return Err(ScopeError::Semantic(match pending.goto {
                None => format!("break outside loop at line {}", pending.line),
                Some(_) => {
                    let name = symbols.name(pending.name);
                    format!("no visible label '{name}' for <goto> at line {}", pending.line)
                }
            }));
        }
        self.close_block();
        Ok(self.functions.pop().map(|function| function.upvalues).unwrap_or_default())
    }

    /// Enters a block.
    pub fn open_block(&mut self, is_loop: bool) {
        let (first_label, first_pending) = (self.visible_labels.len(), self.pending.len());
        let function = self.current_mut();
        function.blocks.push(BlockScope {
            first_declaration: function.active_end,
            first_label,
            first_pending,
            to_be_closed: function.to_be_closed,
            is_loop,
        });
    }

    /// Leaves a block: its variables and labels go out of scope.
    pub fn close_block(&mut self) {
        let function = self.current_mut();
        let block = function.blocks.pop().expect("close_block follows open_block");
        function.active_end = block.first_declaration;
        function.to_be_closed = block.to_be_closed;
        self.declarations.truncate(block.first_declaration);
        self.visible_labels.truncate(block.first_label);
        for pending in &mut self.pending[block.first_pending..] {
            pending.active_end = block.first_declaration;
        }
    }

    /// Declares a local variable; it comes into scope with [`Scopes::activate`].
    pub fn declare(&mut self, name: Symbol) -> Result<VariableId, ScopeError> {
        let function = self.current();
        self.check_limit(
            self.declarations.len() + 1 - function.first_declaration,
            MAX_LOCALS,
            "local variables",
        )?;
        let variable = VariableId(self.variables.len() as u32);
        self.variables.push(Variable { name, is_captured: false, is_assigned: false });
        self.declarations.push(Declaration { name, variable, is_read_only: false, constant: None });
        Ok(variable)
    }

    fn check_limit(&self, count: usize, limit: usize, what: &str) -> Result<(), ScopeError> {
        self.check_limit_of(self.functions.len() - 1, count, limit, what)
    }

    fn check_limit_of(&self, level: usize, count: usize, limit: usize, what: &str) -> Result<(), ScopeError> {
        if count <= limit {
            return Ok(());
        }
        let place = match self.functions[level].line_defined {
            0 => "main function".to_owned(),
            line => format!("function at line {line}"),
        };
        Err(ScopeError::Limit(format!("too many {what} (limit is {limit}) in {place}")))
    }

    /// Makes the latest declaration read-only.
    pub fn make_read_only(&mut self) {
        if let Some(declaration) = self.declarations.last_mut() {
            declaration.is_read_only = true;
        }
    }

    /// Makes the latest declaration a compile-time constant: it stands for its value from now on and has no register.
    pub fn make_constant(&mut self, value: Expression) {
        if let Some(declaration) = self.declarations.last_mut() {
            declaration.constant = Some(value);
        }
    }

    /// Brings all declared variables of the function into scope.
    pub fn activate(&mut self) {
        let end = self.declarations.len();
        self.current_mut().active_end = end;
    }

    /// Brings the next `count` declared variables into scope.
    pub fn activate_some(&mut self, count: usize) {
        self.current_mut().active_end += count;
    }

    /// Notes that the current block has one more variable to be closed.
    pub fn add_to_be_closed(&mut self) {
        self.current_mut().to_be_closed += 1;
    }

    /// Finds out what a name means, and captures the variable if it is one of an enclosing function.
    pub fn resolve(&mut self, name: Symbol) -> Result<Meaning, ScopeError> {
        self.resolve_in(self.functions.len() - 1, name)
    }

    fn resolve_in(&mut self, level: usize, name: Symbol) -> Result<Meaning, ScopeError> {
        let function = &self.functions[level];
        let locals = &self.declarations[function.first_declaration..function.active_end];
        if let Some(declaration) = locals.iter().rev().find(|declaration| declaration.name == name) {
            return Ok(match declaration.constant {
                Some(value) => Meaning::Constant(value),
                None => Meaning::Local(declaration.variable),
            });
        }
        // One name means one variable of the enclosing functions as long as this function is open.
        if let Some(index) = function.upvalues.iter().position(|upvalue| upvalue.name == name) {
            return Ok(Meaning::Upvalue(index as u8));
        }
        if level == 0 {
            return Ok(Meaning::Global);
        }
        let (variable, capture) = match self.resolve_in(level - 1, name)? {
            Meaning::Local(variable) => (variable, Capture::Local),
            Meaning::Upvalue(index) => {
                (self.functions[level - 1].upvalues[index as usize].variable, Capture::Upvalue(index))
            }
            other => return Ok(other),
        };
        self.check_limit_of(level, self.functions[level].upvalues.len() + 1, MAX_UPVALUES, "upvalues")?;
        self.variables[variable.0 as usize].is_captured = true;
        let upvalues = &mut self.functions[level].upvalues;
        upvalues.push(Upvalue { name, variable, capture });
        Ok(Meaning::Upvalue((upvalues.len() - 1) as u8))
    }

    /// Checks that a place may be assigned to, and notes that it is.
    pub fn assign(&mut self, place: Expression, symbols: &Symbols) -> Result<(), ScopeError> {
        let variable = match place {
            Expression::Local(variable) => variable,
            Expression::Upvalue(index) => self.current().upvalues[index as usize].variable,
            _ => return Ok(()),
        };
        // An enclosing declaration is still open, so its properties can be looked up. `_ENV` has none.
        if self.declarations.iter().rev().any(|d| d.variable == variable && d.is_read_only) {
            let name = symbols.name(self.variables[variable.0 as usize].name);
            return Err(ScopeError::Semantic(format!("attempt to assign to const variable '{name}'")));
        }
        self.variables[variable.0 as usize].is_assigned = true;
        Ok(())
    }

    /// The error of assigning to a compile-time constant.
    pub fn constant_assigned(name: Symbol, symbols: &Symbols) -> ScopeError {
        ScopeError::Semantic(format!("attempt to assign to const variable '{}'", symbols.name(name)))
    }

    /// A `break`. Outside of a loop it is an error, which comes up at the function's end.
    pub fn break_loop(&mut self, line: u32) {
        if !self.current().blocks.iter().any(|block| block.is_loop) {
            let active_end = self.current().active_end;
            self.pending.push(Pending { goto: None, name: Symbol(0), line, active_end });
        }
    }

    /// A `goto`: to a label that has been seen, or to one that is to come.
    pub fn goto(&mut self, name: Symbol, line: u32) -> GotoId {
        let goto = GotoId(self.gotos.len() as u32);
        let target = self.find_label(name).map(|label| label.label);
        self.gotos.push(target);
        if target.is_none() {
            let active_end = self.current().active_end;
            self.pending.push(Pending { goto: Some(goto), name, line, active_end });
        }
        goto
    }

    fn find_label(&self, name: Symbol) -> Option<&VisibleLabel> {
        self.visible_labels[self.current().first_label..].iter().find(|label| label.name == name)
    }

    /// A label, which settles the jumps to it. One that ends its block (`is_last`) counts as outside of the block's variables.
    pub fn label(
        &mut self,
        name: Symbol,
        line: u32,
        is_last: bool,
        symbols: &Symbols,
    ) -> Result<LabelId, ScopeError> {
        if let Some(other) = self.find_label(name) {
            let name = symbols.name(name);
            return Err(ScopeError::Semantic(format!(
                "label '{name}' already defined on line {}",
                other.line
            )));
        }
        let function = self.current();
        let block = function.blocks.last().expect("a function has a block");
        let active_end = if is_last { block.first_declaration } else { function.active_end };
        let (first_pending, to_be_closed) = (block.first_pending, function.to_be_closed);
        let label = LabelId(self.labels.len() as u32);
        self.labels.push(Label { to_be_closed });
        self.visible_labels.push(VisibleLabel { name, line, label });
        let mut skipped = None;
        let waiting = self.pending.split_off(first_pending);
        for pending in waiting {
            match pending.goto.filter(|_| pending.name == name) {
                None => self.pending.push(pending),
                Some(_) if skipped.is_some() => {}
                Some(_) if pending.active_end < active_end => {
                    skipped = Some((self.declarations[pending.active_end].name, pending.line));
                }
                Some(goto) => self.gotos[goto.0 as usize] = Some(label),
            }
        }
        if let Some((skipped, line)) = skipped {
            let (name, skipped) = (symbols.name(name), symbols.name(skipped));
            return Err(ScopeError::Semantic(format!(
                "<goto {name}> at line {line} jumps into the scope of local '{skipped}'"
            )));
        }
        Ok(label)
    }
}
