//! Bounds of partitions as a person types them: checking that a text is one.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode as _};

use super::code_range;

/// Checks that a text is exactly what may stand behind FOR VALUES.
///
/// # Errors
/// Why it is not, in a few words.
pub fn check_partition_bound(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("it contains a zero byte".to_owned());
    }
    // The line break ends a trailing `--` comment, so that it cannot swallow what follows.
    let probe = format!("CREATE TABLE t PARTITION OF p FOR VALUES {text}\n");
    let parsed = SourceFile::parse(&probe);
    if let Some(error) = parsed.errors().first() {
        return Err(format!("it is not valid SQL: {error}"));
    }
    let file = parsed.tree();
    let mut statements = file.stmts();
    let (Some(ast::Stmt::CreateTable(create)), None) = (statements.next(), statements.next()) else {
        return Err("it is more than a bound".to_owned());
    };
    let bound = create.partition_type().ok_or("it is no bound")?;
    let (bound, whole) = (code_range(bound.syntax()), code_range(create.syntax()));
    // A semicolon, or an open comment, would stand behind it.
    let after = probe.get(bound.end..).unwrap_or_default();
    if bound.end != whole.end || after.contains(';') || after.contains("/*") {
        return Err("something follows it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_told_from_what_would_break_out() {
        for text in [
            "FROM (0) TO (10)",
            "FROM ('2020-01-01', MINVALUE) TO ('2021-01-01', MAXVALUE) -- a year",
            "IN ('a;', NULL)",
            "WITH (MODULUS 4, REMAINDER 1)",
        ] {
            assert_eq!(check_partition_bound(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "FROM (0)",
            "FROM (0) TO (1) PARTITION BY LIST (a)",
            "FROM (0) TO (1) TABLESPACE x",
            "FROM (0) TO (1); DROP TABLE t",
            "FROM (0) TO (1);",
            "FROM (0) TO (1) /* ",
            "IN (1\0)",
        ] {
            assert!(check_partition_bound(text).is_err(), "{text}");
        }
    }
}
