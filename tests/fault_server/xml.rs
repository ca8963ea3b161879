//! The little XML that S3 needs: text and elements out, two levels of elements in.

use std::fmt::Write as _;

pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Control characters become numeric references, which XML 1.0 forbids: S3 sends the same without `encoding-type=url`.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => {
                let _ = write!(out, "&#x{:x};", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out
}

pub fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// A whole document with S3's namespace.
pub fn document(root: &str, inner: &str) -> String {
    format!("{DECLARATION}<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{root}>")
}

/// Raw insides of every element of this name.
pub fn insides<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(open.as_str()).skip(1).filter_map(|rest| rest.split_once(close.as_str()).map(|(it, _)| it)).collect()
}

/// Text of the first element of this name.
pub fn text_of(text: &str, name: &str) -> Option<String> {
    let raw = insides(text, name).into_iter().next()?.trim();
    let plain = raw.replace("&quot;", "\"").replace("&#34;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    Some(plain.replace("&amp;", "&"))
}
