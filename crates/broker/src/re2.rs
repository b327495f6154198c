//! Regular expressions as Apache Kafka's brokers take them, which is in RE2's syntax.
//!
//! The crate `regex` has the same roots and the same bounds on time. What it reads otherwise is rewritten first: classes of
//! letters, digits and spaces mean ASCII alone, nothing within brackets nests, `\Q...\E` quotes, numbers are octal.

use regex::{Regex, RegexBuilder};

/// What a compiled pattern may take in memory: a client sends it.
const SIZE_LIMIT: usize = 1 << 20;
/// RE2 repeats no more often.
const MOST_REPEATS: u32 = 1000;

/// A pattern that a whole text must have.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    // By itself first: what closes a group that is not open must not close ours.
    let pattern = rewritten(pattern)?;
    compile(&pattern)?;
    compile(&format!("^(?:{pattern})$"))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| error.to_string())
}

fn rewritten(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    let mut repeated = Repeated::No;
    while let Some(c) = rest.next() {
        let count = match c {
            '{' => repetition(rest.as_str()),
            _ => None,
        };
        repeated = match c {
            '*' | '+' | '?' => repeated.by(c)?,
            '{' if count.is_some() => repeated.by(c)?,
            _ => Repeated::No,
        };
        match c {
            '\\' => escape(&mut out, &mut rest)?,
            '[' => class(&mut out, &mut rest),
            '{' if let Some(count) = count => {
                let count = count?;
                out.push_str(&format!("{{{count}}}"));
                rest = rest.as_str()[count.len() + 1..].chars();
            }
            '{' | '}' => out.extend(['\\', c]),
            '(' => group(&mut out, &mut rest)?,
            c => out.push(c),
        }
    }
    Ok(out)
}

/// What may follow: one operator repeats, and a `?` behind it makes it repeat as little as it can.
#[derive(Clone, Copy)]
enum Repeated {
    No,
    Once,
    AsLittle,
}

impl Repeated {
    fn by(self, operator: char) -> Result<Repeated, String> {
        match (self, operator) {
            (Repeated::No, _) => Ok(Repeated::Once),
            (Repeated::Once, '?') => Ok(Repeated::AsLittle),
            _ => Err(format!("invalid nested repetition operator: {operator}")),
        }
    }
}

/// The count that a brace opens, without braces: `2`, `2,` or `2,3`; `None`: the brace is one.
fn repetition(rest: &str) -> Option<Result<&str, String>> {
    let (count, _) = rest.split_once('}')?;
    let (low, high) = count.split_once(',').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if low.is_empty() || !digits(low) || !digits(high) {
        return None;
    }
    let within = |text: &str| text.is_empty() || text.parse().is_ok_and(|n: u32| n <= MOST_REPEATS);
    Some(match within(low) && within(high) {
        true => Ok(count),
        false => Err(format!("invalid repeat count: {{{count}}}")),
    })
}

/// `(`, or `(?i`, `(?P<name>`.
fn group(out: &mut String, rest: &mut std::str::Chars<'_>) -> Result<(), String> {
    out.push('(');
    let Some(flags) = rest.as_str().strip_prefix('?') else {
        return Ok(());
    };
    let end = flags.find([')', ':', '<', 'P']).unwrap_or(flags.len());
    let known = |flag: char| !flag.is_ascii_alphabetic() || "imsU".contains(flag);
    if !flags[..end].chars().all(known) {
        return Err("unknown flag".to_owned());
    }
    // Not an operator.
    rest.next();
    out.push('?');
    Ok(())
}

/// A class from behind its bracket on. Sets in sets, and operators on them, are the crate's own.
fn class(out: &mut String, rest: &mut std::str::Chars<'_>) {
    out.push('[');
    if rest.as_str().starts_with('^') {
        rest.next();
        out.push('^');
    }
    let mut first = true;
    while let Some(c) = rest.next() {
        match c {
            ']' if first => out.push_str(r"\]"),
            ']' => {
                out.push(']');
                return;
            }
            '\\' => {
                // What is wrong with it is the crate's to say.
                if escape(out, rest).is_err() {
                    out.push('\\');
                }
            }
            '[' if rest.as_str().starts_with(':') && rest.as_str().contains(":]") => {
                let named = rest.as_str().find(":]").unwrap_or_default() + 2;
                out.push('[');
                out.push_str(&rest.as_str()[..named]);
                *rest = rest.as_str()[named..].chars();
            }
            '[' | '&' | '~' => out.extend(['\\', c]),
            '-' if rest.as_str().starts_with('-') => out.push_str(r"\-"),
            c => out.push(c),
        }
        first = false;
    }
}

fn escape(out: &mut String, rest: &mut std::str::Chars<'_>) -> Result<(), String> {
    let Some(c) = rest.next() else {
        return Err(r"trailing \".to_owned());
    };
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' | 'B' => out.push_str(&format!(r"(?-u:\{c})")),
        'Q' => {
            let quoted = rest.as_str();
            let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            *rest = after.chars();
        }
        'E' => {}
        '0'..='7' => octal(out, rest, c)?,
        'x' | 'p' | 'P' => {
            out.extend(['\\', c]);
            // A number or a name in braces.
            if rest.as_str().starts_with('{') {
                out.extend(rest.by_ref().take_while(|c| *c != '}'));
                out.push('}');
            }
        }
        'A' | 'z' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => out.extend(['\\', c]),
        c if c.is_ascii_alphanumeric() => return Err(format!(r"invalid escape sequence: \{c}")),
        c => out.push_str(&regex::escape(&c.to_string())),
    }
    Ok(())
}

/// `\012`, or `\12`, but `\1` is a reference back, which there is not.
fn octal(out: &mut String, rest: &mut std::str::Chars<'_>, first: char) -> Result<(), String> {
    let digits = rest.as_str().chars().take(2);
    let more: String = digits.take_while(|c| ('0'..='7').contains(c)).collect();
    if more.is_empty() && first != '0' {
        return Err(format!(r"invalid escape sequence: \{first}"));
    }
    for _ in 0..more.len() {
        rest.next();
    }
    let number = u32::from_str_radix(&format!("{first}{more}"), 8).unwrap_or(0);
    out.push_str(&format!(r"\x{{{number:x}}}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_re2_means_is_meant() {
        for (pattern, texts, others) in [
            (
                "a.c",
                &["abc", "a-c"][..],
                &["ac", "xabc", "abcd", "a\nc"][..],
            ),
            ("a|bc", &["a", "bc"], &["abc", "ab"]),
            (r"\d+", &["12"], &["١٢", ""]),
            (r"\w+", &["a_1"], &["é"]),
            (r"\s", &[" "], &["\u{a0}", "\u{b}"]),
            (r"[\d-]+", &["1-2"], &["a"]),
            (r"[^\w]", &["é", "-"], &["a"]),
            ("[[a]", &["[", "a"], &["]"]),
            ("[]a]+", &["]a"], &["["]),
            ("[^]a]", &["b"], &["]"]),
            ("[a&&b]+", &["&", "ab"], &["c"]),
            ("[a--b]", &["a", "-", "b"], &["c"]),
            ("[[:alpha:]]+", &["ab"], &["1", "é"]),
            (r"\Qa.b\E.", &["a.bc"], &["aXbc"]),
            (r"\Qa.b", &["a.b"], &["aXb"]),
            ("a{2}", &["aa"], &["a{2}"]),
            ("a{,2}", &["a{,2}"], &["a"]),
            ("{", &["{"], &[""]),
            ("a{b}", &["a{b}"], &["ab"]),
            (r"\x{41}\x42\103", &["ABC"], &["AB"]),
            (r"\p{Greek}", &["α"], &["a"]),
            ("(?i)abc", &["aBc"], &["abd"]),
            ("(?P<n>a)(?:b)", &["ab"], &["a"]),
            (r"a\.b", &["a.b"], &["aXb"]),
            ("a\\-b\\_", &["a-b_"], &["ab"]),
            ("", &[""], &["a"]),
            ("^a$", &["a"], &["ab"]),
            ("a*?b+?c??", &["ab", "b"], &["a"]),
        ] {
            let regex = whole(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            for text in texts {
                assert!(regex.is_match(text), "{pattern} {text:?}");
            }
            for text in others {
                assert!(!regex.is_match(text), "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "(a", "a)", "[a", "*a", r"(a)\1", "a\\", "(?x)a", "(?=a)", r"\y", r"\u0041", "a{1001}",
            "a**", "a++", "a???", "a{2}{3}", r"\Z", ")(", "[z-a]",
        ] {
            assert!(whole(pattern).is_err(), "{pattern}");
        }
    }
}
