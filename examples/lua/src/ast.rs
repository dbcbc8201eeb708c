//! The syntax tree of a chunk, names resolved.
//!
//! All nodes of a chunk lie in a few vectors and refer to each other by index. Nothing owns anything, so a tree of any depth
//! is built, walked in any order, and dropped at once. The parser has already decided what each name is (a local, an
//! upvalue, a field of `_ENV`, or a compile-time constant), where each `goto` goes, and has folded constants.

use std::ops::Range;

use crate::lexer::symbols::{Symbol, Symbols};

/// An expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExpressionId(pub u32);

/// A function of the chunk; 0 is the chunk itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionId(pub u32);

/// A local variable of the chunk. [`ENVIRONMENT`] is `_ENV`, which lives outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VariableId(pub u32);

/// A label of the chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelId(pub u32);

/// A `goto` of the chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GotoId(pub u32);

/// The variable `_ENV` that the main function captures.
pub const ENVIRONMENT: VariableId = VariableId(0);

/// A run of entries in one of the tree's vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// Index of the first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Run {
    /// The indices.
    pub fn range(self) -> Range<usize> {
        self.first as usize..(self.first + self.count) as usize
    }
}

/// Operators with two operands that are both evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum BinaryOperator {
    Add,
    Sub,
    Mul,
    Mod,
    Pow,
    Div,
    FloorDiv,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Concat,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl BinaryOperator {
    /// Whether the result is a boolean that a condition can branch on.
    pub fn is_comparison(self) -> bool {
        use BinaryOperator::*;
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }
}

/// Operators with one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum UnaryOperator {
    Negate,
    Not,
    Length,
    BitNot,
}

/// An expression. Lines are those that error messages name.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)] // the fields are what they are called
pub enum Expression {
    Nil,
    True,
    False,
    Int(i64),
    Float(f64),
    String(Symbol),
    /// `...`
    VarArg,
    Function(FunctionId),
    Local(VariableId),
    /// The n-th upvalue of the function that the expression is in.
    Upvalue(u8),
    Index {
        object: ExpressionId,
        key: ExpressionId,
        line: u32,
    },
    Call {
        function: ExpressionId,
        arguments: Run,
        line: u32,
    },
    /// `object:name`, only ever the function of a call.
    Method {
        object: ExpressionId,
        name: Symbol,
        line: u32,
    },
    Binary {
        operator: BinaryOperator,
        left: ExpressionId,
        right: ExpressionId,
        line: u32,
    },
    Unary {
        operator: UnaryOperator,
        operand: ExpressionId,
        line: u32,
    },
    And {
        left: ExpressionId,
        right: ExpressionId,
    },
    Or {
        left: ExpressionId,
        right: ExpressionId,
    },
    Table {
        items: Run,
        line: u32,
    },
    /// Parentheses around what would otherwise be several values, or a place to assign to.
    Parentheses(ExpressionId),
}

/// An entry of a table constructor.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are what they are called
pub enum Item {
    Positional(ExpressionId),
    Keyed { key: ExpressionId, value: ExpressionId, line: u32 },
}

/// Statements in a scope of their own.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Entries of [`Ast::statements`].
    pub statements: Run,
    /// Line of its last token.
    pub last_line: u32,
    /// Line of the token that ends it.
    pub end_line: u32,
}

/// One `if` or `elseif`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are what they are called
pub struct Clause {
    pub condition: ExpressionId,
    /// Line of `then`.
    pub line: u32,
    pub body: Block,
}

/// A statement. `line` is where its last token stands unless said otherwise.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are what they are called
pub enum Statement {
    Call(ExpressionId),
    Local {
        variables: Run,
        values: Run,
        to_be_closed: Option<VariableId>,
        line: u32,
    },
    LocalFunction {
        variable: VariableId,
        function: FunctionId,
    },
    Assign {
        targets: Run,
        values: Run,
        line: u32,
    },
    Do(Block),
    While {
        condition: ExpressionId,
        line: u32,
        body: Block,
    },
    Repeat {
        body: Block,
        condition: ExpressionId,
        line: u32,
    },
    If {
        clauses: Run,
        otherwise: Option<Block>,
    },
    /// `line` is that of `for`, `do_line` that of `do`; the step is `None` when it was left out.
    NumericFor {
        variable: VariableId,
        start: ExpressionId,
        limit: ExpressionId,
        step: Option<ExpressionId>,
        line: u32,
        do_line: u32,
        body: Block,
    },
    /// As `NumericFor`.
    GenericFor {
        variables: Run,
        values: Run,
        line: u32,
        do_line: u32,
        body: Block,
    },
    Return {
        values: Run,
        line: u32,
    },
    Break,
    Goto(GotoId),
    Label(LabelId),
}

/// A local variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: Symbol,
    /// Whether a function inside its own uses it.
    pub is_captured: bool,
    /// Whether anything but its declaration assigns it.
    pub is_assigned: bool,
}

impl Variable {
    /// Whether it must live in a cell that all its users share. What is never assigned again is captured by value.
    pub fn is_cell(&self) -> bool {
        self.is_captured && self.is_assigned
    }
}

/// Where a function finds an upvalue in the function around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capture {
    /// Among the locals.
    Local,
    /// Among the upvalues.
    Upvalue(u8),
}

/// A captured variable, as the capturing function sees it.
#[derive(Clone, Copy, Debug)]
pub struct Upvalue {
    /// The variable's name.
    pub name: Symbol,
    /// The variable.
    pub variable: VariableId,
    /// Where the enclosing function has it.
    pub capture: Capture,
}

/// A function.
#[derive(Clone, Debug)]
pub struct FunctionNode {
    /// The parameters, entries of [`Ast::variables`].
    pub parameters: Run,
    /// Whether it ends its parameters with `...`.
    pub is_vararg: bool,
    /// The statements.
    pub body: Block,
    /// The captured variables.
    pub upvalues: Vec<Upvalue>,
    /// Line of `function`; 0 for the chunk.
    pub line_defined: u32,
    /// Line of `end`; 0 for the chunk.
    pub last_line: u32,
}

/// A label.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// How many to-be-closed variables of its function are in scope there.
    pub to_be_closed: u32,
}

/// A chunk.
pub struct Ast {
    /// Whether the chunk mentions functions that look into frames.
    pub inspects_frames: bool,
    /// The names and strings.
    pub symbols: Symbols,
    /// The expressions.
    pub expressions: Vec<Expression>,
    /// Lists of expressions.
    pub lists: Vec<ExpressionId>,
    /// Entries of table constructors.
    pub items: Vec<Item>,
    /// The statements; those of a block stand together.
    pub statements: Vec<Statement>,
    /// The clauses of `if` statements.
    pub clauses: Vec<Clause>,
    /// The functions; one that is not closed yet is `None`.
    pub functions: Vec<Option<FunctionNode>>,
    /// The local variables.
    pub variables: Vec<Variable>,
    /// The labels.
    pub labels: Vec<Label>,
    /// Where each `goto` goes.
    pub gotos: Vec<Option<LabelId>>,
}

impl Ast {
    /// An expression.
    pub fn expression(&self, id: ExpressionId) -> Expression {
        self.expressions[id.0 as usize]
    }

    /// A list of expressions.
    pub fn list(&self, run: Run) -> &[ExpressionId] {
        &self.lists[run.range()]
    }

    /// A variable.
    pub fn variable(&self, id: VariableId) -> &Variable {
        &self.variables[id.0 as usize]
    }
}

impl Expression {
    /// Whether it stands for as many values as its context wants.
    pub fn is_multiple(self) -> bool {
        matches!(self, Expression::Call { .. } | Expression::VarArg)
    }

    /// Whether it can be assigned to.
    pub fn is_place(self) -> bool {
        matches!(self, Expression::Local(_) | Expression::Upvalue(_) | Expression::Index { .. })
    }

    /// The truth of a constant.
    pub fn constant_truth(self) -> Option<bool> {
        match self {
            Expression::Nil | Expression::False => Some(false),
            Expression::True | Expression::Int(_) | Expression::Float(_) | Expression::String(_) => {
                Some(true)
            }
            _ => None,
        }
    }
}
