//! What a program prints: with `times`, one line `iteration <number> <microseconds>` for each
//! iteration, and at the end one line with its result, such as `richards: ok 23246`.

use std::fmt;

/// The output of a run that went well.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    pub iteration_microseconds: Vec<u64>,
    pub result_line: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum OutputError {
    MalformedIteration { line: String },
    WrongNumber { expected: usize, line: String },
    MissingResult,
    TextAfterResult { line: String },
}

impl fmt::Display for OutputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedIteration { line } => {
                write!(formatter, "'{line}' should be 'iteration <number> <microseconds>'")
            }
            Self::WrongNumber { expected, line } => {
                write!(formatter, "'{line}' should be the time of iteration {expected}")
            }
            Self::MissingResult => write!(formatter, "the result line is missing"),
            Self::TextAfterResult { line } => write!(formatter, "'{line}' stands after the result line"),
        }
    }
}

pub fn parse(text: &str) -> Result<ProgramOutput, OutputError> {
    let mut iteration_microseconds = Vec::new();
    let mut result_line: Option<&str> = None;
    for line in text.lines() {
        if result_line.is_some() {
            return Err(OutputError::TextAfterResult { line: line.to_owned() });
        }
        let Some(times) = line.strip_prefix("iteration ") else {
            result_line = Some(line);
            continue;
        };
        let (number, microseconds) = parse_iteration(times)
            .ok_or_else(|| OutputError::MalformedIteration { line: line.to_owned() })?;
        let expected = iteration_microseconds.len() + 1;
        if number != expected {
            return Err(OutputError::WrongNumber { expected, line: line.to_owned() });
        }
        iteration_microseconds.push(microseconds);
    }
    let result_line = result_line.ok_or(OutputError::MissingResult)?.to_owned();
    Ok(ProgramOutput { iteration_microseconds, result_line })
}

fn parse_iteration(times: &str) -> Option<(usize, u64)> {
    let (number, microseconds) = times.split_once(' ')?;
    Some((number.parse().ok()?, microseconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_result_are_read() {
        let output = parse("iteration 1 5200\niteration 2 4100\nnbody: ok -0.169075164\n").unwrap();
        assert_eq!(output.iteration_microseconds, [5200, 4100]);
        assert_eq!(output.result_line, "nbody: ok -0.169075164");
    }

    #[test]
    fn without_times_there_is_only_the_result() {
        let output = parse("list: ok 7\n").unwrap();
        assert_eq!(
            output,
            ProgramOutput { iteration_microseconds: vec![], result_line: "list: ok 7".into() }
        );
    }

    #[test]
    fn a_time_that_is_no_integer_is_malformed() {
        let error = parse("iteration 1 5.2\nlist: ok 7\n").unwrap_err();
        assert_eq!(error, OutputError::MalformedIteration { line: "iteration 1 5.2".into() });
        assert!(parse("iteration 1\nlist: ok 7\n").is_err());
        assert!(parse("iteration 1 2 3\nlist: ok 7\n").is_err());
    }

    #[test]
    fn iterations_are_numbered_without_gaps() {
        let error = parse("iteration 1 10\niteration 3 10\nlist: ok 7\n").unwrap_err();
        assert_eq!(error, OutputError::WrongNumber { expected: 2, line: "iteration 3 10".into() });
    }

    #[test]
    fn a_result_is_required_and_comes_last() {
        assert_eq!(parse("iteration 1 10\n"), Err(OutputError::MissingResult));
        assert_eq!(parse(""), Err(OutputError::MissingResult));
        let error = parse("list: ok 7\ntrailing\n").unwrap_err();
        assert_eq!(error, OutputError::TextAfterResult { line: "trailing".into() });
    }
}
