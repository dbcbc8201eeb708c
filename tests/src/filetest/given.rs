//! Values as filetests write them: `nil`, `true`, `false`, `int -3`, `float 2.5`, `function 1`, `cell VALUE`, and
//! `list SHAPE [VALUE, VALUE]`.

use surmise::ir::evaluate::Boxed;
use surmise::ir::generate::Objects;
use surmise::ir::language::Language;

/// Reads values from text, and makes their objects.
pub struct Reader<'a, O> {
    rest: &'a str,
    language: &'a Language,
    objects: &'a mut O,
}

impl<'a, O: Objects> Reader<'a, O> {
    /// Reads a list of values, with commas between them.
    ///
    /// # Errors
    /// What was expected where.
    pub fn values(text: &'a str, language: &'a Language, objects: &'a mut O) -> Result<Vec<Boxed>, String> {
        let mut reader = Reader { rest: text, language, objects };
        let values = reader.list()?;
        match reader.rest.trim() {
            "" => Ok(values),
            rest => Err(format!("expected `,` or the end, found `{rest}`")),
        }
    }
    fn list(&mut self) -> Result<Vec<Boxed>, String> {
        let mut values = Vec::new();
        if self.rest.trim_start().is_empty() || self.rest.trim_start().starts_with(']') {
            return Ok(values);
        }
        loop {
            values.push(self.value()?);
            match self.rest.trim_start().strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None => return Ok(values),
            }
        }
    }
    fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !(c.is_alphanumeric() || "-+.".contains(c))).unwrap_or(text.len());
        self.rest = &text[end..];
        &text[..end]
    }
    fn number<N: std::str::FromStr>(&mut self, what: &str) -> Result<N, String> {
        let word = self.word();
        word.parse().map_err(|_| format!("expected {what}, found `{word}`"))
    }
    fn sign(&mut self, sign: char) -> Result<(), String> {
        let text = self.rest.trim_start();
        self.rest = text.strip_prefix(sign).ok_or_else(|| format!("expected `{sign}` before `{text}`"))?;
        Ok(())
    }
    fn value(&mut self) -> Result<Boxed, String> {
        let kind = self.word();
        let tag = self.language.kind(match kind {
            "true" | "false" => "bool",
            other => other,
        });
        let tag = tag.ok_or_else(|| format!("`{kind}` is no kind of value"))?.as_u32().into();
        let payload = match kind {
            "nil" => 0,
            "true" | "false" => u64::from(kind == "true"),
            "int" => self.number::<i64>("an integer")? as u64,
            "float" => self.number::<f64>("a float")?.to_bits(),
            "function" => {
                let number = self.number("a number")?;
                self.objects.new_function(self.language, number)
            }
            "cell" => {
                let contents = self.value()?;
                self.objects.new_cell(self.language, contents)
            }
            "list" => {
                let shape = self.number("a shape")?;
                self.sign('[')?;
                let elements = self.list()?;
                self.sign(']')?;
                self.objects.new_list(self.language, shape, &elements)
            }
            other => return Err(format!("values of kind `{other}` can't be written")),
        };
        Ok([tag, payload])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surmise::ir::generate::{describe, language, world};

    #[test]
    fn what_is_read_is_what_is_shown() {
        let language = language();
        let read = |text: &str| {
            let mut world = world(&language, &[]);
            let values = Reader::values(text, &language, &mut world.host.memory)?;
            let shown: Vec<String> =
                values.iter().map(|&value| describe(&language, &world.host.memory, value)).collect();
            Ok::<_, String>(shown.join("; "))
        };
        assert_eq!(
            read("int -3, list 7 [true, cell nil, list 1 []], float 2.5, function 3").unwrap(),
            "-3; list 7 [true, cell of nil, list 1 []]; 2.5; function 3"
        );
        assert_eq!(read("").unwrap(), "");
        assert_eq!(read("int x").unwrap_err(), "expected an integer, found `x`");
        assert_eq!(read("list 1 [nil").unwrap_err(), "expected `]` before ``");
        assert_eq!(read("nil nil").unwrap_err(), "expected `,` or the end, found `nil`");
    }
}
