//! From a program with some property to a small one that has it too.
//!
//! A change takes something away: statements, the block around statements, entries of lists; or it puts a part of an expression, or a
//! constant, in the place of the whole. Changes are numbered in the order in which a walk over the tree comes to them, and
//! tried one by one; one that leaves the property is kept. This ends: each change makes the tree smaller, by [`weight`].

use super::tree::{Block, Expression, Function, Item, Statement, parse, print};

/// Looks for the smallest program that still has a property which `text` has, asking at most `attempts` times.
///
/// The property is asked for programs that may be no longer valid. A text that can't be parsed is returned as it is.
pub fn shrink(text: &str, attempts: usize, mut has_property: impl FnMut(&str) -> bool) -> String {
    let Ok(mut tree) = parse(text) else { return text.to_owned() };
    // Lines count in error messages.
    if !has_property(&print(&tree)) {
        return text.to_owned();
    }
    let mut left = attempts;
    loop {
        let before = weight(&tree);
        for granularity in [Granularity::Runs, Granularity::Statements, Granularity::Expressions] {
            let mut number = 0;
            while left > 0 {
                let mut smaller = tree.clone();
                if !change(&mut smaller, granularity, number) {
                    break;
                }
                if weight(&smaller) >= weight(&tree) {
                    number += 1;
                    continue;
                }
                left -= 1;
                if has_property(&print(&smaller)) {
                    tree = smaller;
                } else {
                    number += 1;
                }
            }
        }
        if left == 0 || weight(&tree) == before {
            return print(&tree);
        }
    }
}

/// How large a tree is: what every change makes smaller.
fn weight(tree: &Block) -> usize {
    let constants = |text: &str| match text {
        "nil" => 1,
        "1" => 2,
        // Shorter constants are simpler ones.
        _ => 3 + text.len(),
    };
    let mut weigh = Weigh(0, constants);
    weigh.block(tree);
    weigh.0
}

struct Weigh(usize, fn(&str) -> usize);

impl Weigh {
    fn block(&mut self, block: &Block) {
        block.iter().for_each(|statement| self.statement(statement));
    }
    fn expressions(&mut self, list: &[Expression]) {
        list.iter().for_each(|expression| self.expression(expression));
    }
    fn function(&mut self, function: &Function) {
        self.0 += function.parameters.len();
        self.block(&function.body);
    }
    fn statement(&mut self, statement: &Statement) {
        self.0 += 10;
        match statement {
            Statement::Local(names, values) => {
                self.0 += names.iter().map(|name| 2 + usize::from(name.contains('<'))).sum::<usize>();
                self.expressions(values);
            }
            Statement::LocalFunction(_, function) => self.function(function),
            Statement::Assign(targets, values) => {
                self.expressions(targets);
                self.expressions(values);
            }
            Statement::Call(call) => self.expression(call),
            Statement::Do(body) => self.block(body),
            Statement::While(condition, body) | Statement::Repeat(body, condition) => {
                self.expression(condition);
                self.block(body);
            }
            Statement::If(clauses, otherwise) => {
                for (condition, body) in clauses {
                    self.0 += 1;
                    self.expression(condition);
                    self.block(body);
                }
                if let Some(body) = otherwise {
                    self.0 += 1;
                    self.block(body);
                }
            }
            Statement::NumericFor(_, values, body) => {
                self.expressions(values);
                self.block(body);
            }
            Statement::GenericFor(names, values, body) => {
                self.0 += names.len();
                self.expressions(values);
                self.block(body);
            }
            Statement::Return(values) => self.expressions(values),
            Statement::Break | Statement::Goto(_) | Statement::Label(_) => {}
        }
    }
    fn expression(&mut self, expression: &Expression) {
        self.0 += 4;
        match expression {
            Expression::Literal(text) => self.0 += (self.1)(text),
            // More than a constant.
            Expression::Name(_) => self.0 += 3,
            Expression::Function(function) => self.function(function),
            Expression::Index(object, key) => {
                self.expression(object);
                self.expression(key);
            }
            Expression::Field(object, _) => self.expression(object),
            Expression::Call(function, arguments) => {
                self.expression(function);
                self.expressions(arguments);
            }
            Expression::Method(object, _, arguments) => {
                self.expression(object);
                self.expressions(arguments);
            }
            Expression::Unary(_, operand) => self.expression(operand),
            Expression::Parentheses(inner) => self.expression(inner),
            Expression::Binary(_, left, right) => {
                self.expression(left);
                self.expression(right);
            }
            Expression::Table(items) => {
                for item in items {
                    match item {
                        Item::Positional(value) | Item::Named(_, value) => self.expression(value),
                        Item::Keyed(key, value) => {
                            self.expression(key);
                            self.expression(value);
                        }
                    }
                }
            }
        }
    }
}

/// Which changes are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Granularity {
    /// Several statements of a block go at once.
    Runs,
    /// One statement goes, or is replaced by what it contains.
    Statements,
    /// Expressions and lists.
    Expressions,
}

/// Makes the change with a number; whether there is one.
fn change(tree: &mut Block, granularity: Granularity, number: usize) -> bool {
    let mut walk = Walk { granularity, left: number, done: false };
    walk.block(tree);
    walk.done
}

struct Walk {
    granularity: Granularity,
    /// Changes to go by before the one to be made.
    left: usize,
    done: bool,
}

impl Walk {
    /// Whether this is the change to be made.
    fn is_it(&mut self) -> bool {
        if self.done {
            return false;
        }
        self.done = self.left == 0;
        self.left = self.left.saturating_sub(1);
        self.done
    }
    fn statements(&mut self) -> bool {
        self.granularity == Granularity::Statements && self.is_it()
    }
    fn details(&mut self) -> bool {
        self.granularity == Granularity::Expressions && self.is_it()
    }

    fn block(&mut self, block: &mut Block) {
        if self.granularity == Granularity::Runs {
            let mut length = block.len();
            while length > 1 {
                // From the end: what is used later goes first.
                for start in (0..block.len()).step_by(length).rev() {
                    if self.is_it() {
                        block.drain(start..(start + length).min(block.len()));
                        return;
                    }
                }
                length = length.div_ceil(2).min(length - 1);
            }
        }
        let mut index = block.len();
        while index > 0 && !self.done {
            index -= 1;
            if self.statements() {
                block.remove(index);
                return;
            }
            for part in 0..parts(&block[index]) {
                if self.statements() {
                    let inner = take_part(&mut block[index], part);
                    block.splice(index..=index, inner);
                    return;
                }
            }
            self.statement(&mut block[index]);
        }
    }

    fn list<T>(&mut self, list: &mut Vec<T>, least: usize, mut one: impl FnMut(&mut Walk, &mut T)) {
        let mut index = list.len();
        while index > 0 && !self.done {
            index -= 1;
            if list.len() > least && self.details() {
                list.remove(index);
                return;
            }
            one(self, &mut list[index]);
        }
    }
    fn expressions(&mut self, list: &mut Vec<Expression>, least: usize) {
        self.list(list, least, |walk, expression| walk.expression(expression));
    }
    fn names(&mut self, names: &mut Vec<String>, least: usize) {
        self.list(names, least, |walk, name| {
            if let Some((bare, _)) = name.split_once(" <")
                && walk.details()
            {
                *name = bare.to_owned();
            }
        });
    }
    fn function(&mut self, function: &mut Function) {
        self.names(&mut function.parameters, 0);
        self.block(&mut function.body);
    }

    fn statement(&mut self, statement: &mut Statement) {
        match statement {
            Statement::Local(names, values) => {
                self.expressions(values, 0);
                self.names(names, 1);
            }
            Statement::LocalFunction(_, function) => self.function(function),
            Statement::Assign(targets, values) => {
                self.expressions(values, 1);
                self.list(targets, 1, Walk::place);
            }
            Statement::Call(call) => self.called(call),
            Statement::Do(body) => self.block(body),
            Statement::While(condition, body) | Statement::Repeat(body, condition) => {
                self.expression(condition);
                self.block(body);
            }
            Statement::If(clauses, otherwise) => {
                if otherwise.is_some() && self.statements() {
                    *otherwise = None;
                }
                if let Some(body) = otherwise {
                    self.block(body);
                }
                if clauses.len() > 1 && self.statements() {
                    clauses.pop();
                }
                for (condition, body) in clauses {
                    self.expression(condition);
                    self.block(body);
                }
            }
            Statement::NumericFor(_, values, body) => {
                self.expressions(values, 2);
                self.block(body);
            }
            Statement::GenericFor(names, values, body) => {
                self.expressions(values, 1);
                self.names(names, 1);
                self.block(body);
            }
            Statement::Return(values) => self.expressions(values, 0),
            Statement::Break | Statement::Goto(_) | Statement::Label(_) => {}
        }
    }

    /// What is assigned to stays a place.
    fn place(&mut self, place: &mut Expression) {
        match place {
            Expression::Index(object, key) => {
                self.expression(object);
                self.expression(key);
            }
            Expression::Field(object, _) => self.expression(object),
            _ => {}
        }
    }

    /// What is called stays a call.
    fn called(&mut self, call: &mut Expression) {
        match call {
            Expression::Call(function, arguments) => {
                self.expressions(arguments, 0);
                for index in 0..arguments.len() {
                    if arguments[index].is_call() && self.details() {
                        *call = arguments.swap_remove(index);
                        return;
                    }
                }
                self.expression(function);
            }
            Expression::Method(object, _, arguments) => {
                self.expressions(arguments, 0);
                self.expression(object);
            }
            _ => {}
        }
    }

    fn expression(&mut self, expression: &mut Expression) {
        for constant in ["nil", "1"] {
            let is_constant = matches!(expression, Expression::Literal(text) if text == constant);
            if !is_constant && self.details() {
                *expression = Expression::literal(constant);
                return;
            }
        }
        for part in 0..children(expression).len() {
            if self.details() {
                let inner = children(expression).swap_remove(part);
                let inner = std::mem::replace(inner, Expression::literal("nil"));
                *expression = inner;
                return;
            }
        }
        match expression {
            Expression::Literal(text) => {
                if let Ok(number) = text.parse::<u64>() {
                    for smaller in [2, 3, 5, 10, 20, number / 2, number.saturating_sub(1)] {
                        if smaller < number && self.details() {
                            *text = smaller.to_string();
                            return;
                        }
                    }
                }
            }
            Expression::Name(_) => {}
            Expression::Function(function) => self.function(function),
            Expression::Call(..) | Expression::Method(..) => self.called(expression),
            Expression::Table(items) => self.list(items, 0, |walk, item| match item {
                Item::Positional(value) | Item::Named(_, value) => walk.expression(value),
                Item::Keyed(key, value) => {
                    walk.expression(key);
                    walk.expression(value);
                }
            }),
            Expression::Unary(_, inner) | Expression::Parentheses(inner) | Expression::Field(inner, _) => {
                self.expression(inner);
            }
            Expression::Binary(_, left, right) | Expression::Index(left, right) => {
                self.expression(left);
                self.expression(right);
            }
        }
    }
}

/// How many blocks of a statement can take its place.
fn parts(statement: &Statement) -> usize {
    match statement {
        Statement::If(clauses, otherwise) => clauses.len() + usize::from(otherwise.is_some()),
        Statement::Do(_)
        | Statement::LocalFunction(..)
        | Statement::While(..)
        | Statement::Repeat(..)
        | Statement::NumericFor(..)
        | Statement::GenericFor(..) => 1,
        // A call of a function with a function: `pcall(function() ... end)`.
        Statement::Call(Expression::Call(_, arguments))
        | Statement::Call(Expression::Method(_, _, arguments)) => {
            arguments.iter().filter(|argument| matches!(argument, Expression::Function(_))).count()
        }
        Statement::Local(_, values) | Statement::Assign(_, values) => {
            values.iter().filter(|value| matches!(value, Expression::Call(..))).count()
        }
        _ => 0,
    }
}

/// Takes one of these blocks out.
fn take_part(statement: &mut Statement, part: usize) -> Block {
    let nothing = Statement::Break;
    match std::mem::replace(statement, nothing) {
        Statement::If(mut clauses, otherwise) if part < clauses.len() => {
            drop(otherwise);
            std::mem::take(&mut clauses[part].1)
        }
        Statement::If(_, otherwise) => otherwise.unwrap_or_default(),
        Statement::LocalFunction(_, function) => function.body,
        Statement::Do(body)
        | Statement::While(_, body)
        | Statement::Repeat(body, _)
        | Statement::NumericFor(_, _, body)
        | Statement::GenericFor(_, _, body) => body,
        Statement::Call(Expression::Call(_, arguments))
        | Statement::Call(Expression::Method(_, _, arguments)) => {
            let mut functions = arguments.into_iter().filter_map(|argument| match argument {
                Expression::Function(function) => Some(function.body),
                _ => None,
            });
            functions.nth(part).unwrap_or_default()
        }
        Statement::Local(_, values) | Statement::Assign(_, values) => {
            let calls = values.into_iter().filter(|value| matches!(value, Expression::Call(..)));
            calls.skip(part).take(1).map(Statement::Call).collect()
        }
        other => vec![other],
    }
}

/// The parts of an expression that can take its place.
fn children(expression: &mut Expression) -> Vec<&mut Expression> {
    match expression {
        Expression::Literal(_) | Expression::Name(_) | Expression::Function(_) => Vec::new(),
        Expression::Index(left, right) | Expression::Binary(_, left, right) => vec![left, right],
        Expression::Field(inner, _) | Expression::Unary(_, inner) | Expression::Parentheses(inner) => {
            vec![inner]
        }
        Expression::Call(function, arguments) => std::iter::once(&mut **function).chain(arguments).collect(),
        Expression::Method(object, _, arguments) => std::iter::once(&mut **object).chain(arguments).collect(),
        Expression::Table(items) => items
            .iter_mut()
            .map(|item| match item {
                Item::Positional(value) | Item::Named(_, value) | Item::Keyed(_, value) => value,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[test]
    fn what_matters_is_left() {
        let text = "local a, b <const> = 1, 2\nlocal function f(x) for i = 1, 100 do if x then print(i + bad * 7, a) end end end\n\
                    pcall(function() f(b) print({1, 2, c = f}) end)";
        let small = shrink(text, 10_000, |text| text.contains("bad"));
        assert!(small.contains("bad") && small.len() < 30, "{small}");
    }

    #[test]
    fn what_has_not_the_property_stays() {
        assert_eq!(shrink("x = 1 y = 2", 100, |_| false), "x = 1 y = 2");
        assert_eq!(shrink("x = = 1", 100, |_| true), "x = = 1");
    }
}
