//! From tree to text: a statement a line, operators inside of operators in parentheses.

use super::{Block, Expression, Function, Item, Statement};

/// The text of a program.
pub fn print(block: &Block) -> String {
    let mut printer = Printer { text: String::new(), indent: 0 };
    printer.block(block);
    printer.text
}

struct Printer {
    text: String,
    indent: usize,
}

impl Printer {
    fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }
    fn start(&mut self) {
        self.text.extend(std::iter::repeat_n("  ", self.indent));
    }
    fn line(&mut self, text: &str) {
        self.start();
        self.add(text);
        self.add("\n");
    }
    fn block(&mut self, block: &Block) {
        for statement in block {
            self.statement(statement);
        }
    }
    /// What stands between a head, which is written, and its `end`.
    fn body(&mut self, block: &Block) {
        self.add("\n");
        self.indent += 1;
        self.block(block);
        self.indent -= 1;
    }
    fn list<T>(&mut self, list: &[T], mut one: impl FnMut(&mut Printer, &T)) {
        for (i, item) in list.iter().enumerate() {
            if i > 0 {
                self.add(", ");
            }
            one(self, item);
        }
    }
    fn expressions(&mut self, list: &[Expression]) {
        self.list(list, |printer, expression| printer.expression(expression));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Break => return self.line("break"),
            Statement::Goto(label) => return self.line(&format!("goto {label}")),
            Statement::Label(label) => return self.line(&format!("::{label}::")),
            _ => self.start(),
        }
        match statement {
            Statement::Local(names, values) => {
                self.add(&format!("local {}", names.join(", ")));
                if !values.is_empty() {
                    self.add(" = ");
                    self.expressions(values);
                }
            }
            Statement::LocalFunction(name, function) => {
                self.add(&format!("local function {name}"));
                self.function(function);
            }
            Statement::Assign(targets, values) => {
                let from = self.text.len();
                self.list(targets, |printer, target| printer.prefix(target));
                self.separate(from);
                self.add(" = ");
                self.expressions(values);
            }
            Statement::Call(call) => {
                let from = self.text.len();
                self.expression(call);
                self.separate(from);
            }
            Statement::Do(body) => {
                self.add("do");
                self.body(body);
                self.start();
                self.add("end");
            }
            Statement::While(condition, body) => {
                self.add("while ");
                self.expression(condition);
                self.add(" do");
                self.body(body);
                self.start();
                self.add("end");
            }
            Statement::Repeat(body, condition) => {
                self.add("repeat");
                self.body(body);
                self.start();
                self.add("until ");
                self.expression(condition);
            }
            Statement::If(clauses, otherwise) => {
                for (i, (condition, body)) in clauses.iter().enumerate() {
                    if i > 0 {
                        self.start();
                    }
                    self.add(if i > 0 { "elseif " } else { "if " });
                    self.expression(condition);
                    self.add(" then");
                    self.body(body);
                }
                if let Some(body) = otherwise {
                    self.start();
                    self.add("else");
                    self.body(body);
                }
                self.start();
                self.add("end");
            }
            Statement::NumericFor(name, values, body) => {
                self.add(&format!("for {name} = "));
                self.expressions(values);
                self.add(" do");
                self.body(body);
                self.start();
                self.add("end");
            }
            Statement::GenericFor(names, values, body) => {
                self.add(&format!("for {} in ", names.join(", ")));
                self.expressions(values);
                self.add(" do");
                self.body(body);
                self.start();
                self.add("end");
            }
            Statement::Return(values) => {
                self.add("return");
                if !values.is_empty() {
                    self.add(" ");
                    self.expressions(values);
                }
            }
            Statement::Break | Statement::Goto(_) | Statement::Label(_) => {}
        }
        self.add("\n");
    }

    fn function(&mut self, function: &Function) {
        self.add(&format!("({})", function.parameters.join(", ")));
        self.body(&function.body);
        self.start();
        self.add("end");
    }

    /// A statement that starts with a parenthesis would belong to the line above.
    fn separate(&mut self, from: usize) {
        if self.text[from..].starts_with('(') {
            self.text.insert(from, ';');
        }
    }

    /// What something is selected from, or called.
    fn prefix(&mut self, object: &Expression) {
        let is_prefix = matches!(
            object,
            Expression::Name(_)
                | Expression::Index(..)
                | Expression::Field(..)
                | Expression::Call(..)
                | Expression::Method(..)
                | Expression::Parentheses(_)
        );
        self.enclosed(object, !is_prefix);
    }
    /// The operand of an operator.
    fn operand(&mut self, operand: &Expression) {
        self.enclosed(operand, matches!(operand, Expression::Unary(..) | Expression::Binary(..)));
    }
    fn enclosed(&mut self, expression: &Expression, in_parentheses: bool) {
        if in_parentheses {
            self.add("(");
        }
        self.expression(expression);
        if in_parentheses {
            self.add(")");
        }
    }

    /// A key in brackets, which don't become those of a long string.
    fn key(&mut self, key: &Expression) {
        let from = self.text.len();
        self.add("[");
        self.expression(key);
        self.add("]");
        if self.text[from + 1..].starts_with('[') {
            self.text.insert(from + 1, ' ');
        }
    }

    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Literal(text) | Expression::Name(text) => self.add(text),
            Expression::Function(function) => {
                self.add("function");
                self.function(function);
            }
            Expression::Index(object, key) => {
                self.prefix(object);
                self.key(key);
            }
            Expression::Field(object, name) => {
                self.prefix(object);
                self.add(&format!(".{name}"));
            }
            Expression::Call(function, arguments) => {
                self.prefix(function);
                self.add("(");
                self.expressions(arguments);
                self.add(")");
            }
            Expression::Method(object, name, arguments) => {
                self.prefix(object);
                self.add(&format!(":{name}("));
                self.expressions(arguments);
                self.add(")");
            }
            Expression::Unary(operator, operand) => {
                self.add(operator);
                if operator == "not" {
                    self.add(" ");
                }
                self.operand(operand);
            }
            Expression::Binary(operator, left, right) => {
                self.operand(left);
                self.add(&format!(" {operator} "));
                self.operand(right);
            }
            Expression::Table(items) => {
                self.add("{");
                self.list(items, |printer, item| match item {
                    Item::Positional(value) => printer.expression(value),
                    Item::Named(name, value) => {
                        printer.add(&format!("{name} = "));
                        printer.expression(value);
                    }
                    Item::Keyed(key, value) => {
                        printer.key(key);
                        printer.add(" = ");
                        printer.expression(value);
                    }
                });
                self.add("}");
            }
            Expression::Parentheses(inner) => self.enclosed(inner, true),
        }
    }
}
