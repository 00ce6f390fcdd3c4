//! The words of a text, as search compares them: without case, accents and forms that only look different.
//!
//! Both database engines are given words that were made here, so that both find the same. Scripts that put no spaces between words are cut into characters:
//! whoever searches for some of them finds the texts that have all of these.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Longest word, in bytes; of a longer one the beginning counts.
pub const WORD_BYTES_MAX: usize = 100;

/// The words of a text, in order, at most `max` of them.
pub fn words(text: &str, max: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        if words.len() >= max {
            return words;
        }
        if is_whole_word(c) {
            end(&mut word, &mut words);
            words.push(c.to_string());
        } else if c.is_alphanumeric() {
            if word.len() + c.len_utf8() <= WORD_BYTES_MAX {
                word.push(c);
            }
        } else {
            end(&mut word, &mut words);
        }
    }
    end(&mut word, &mut words);
    words.truncate(max);
    words
}

fn end(word: &mut String, words: &mut Vec<String>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// Whether a character is of a script that is written without spaces.
fn is_whole_word(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF          // Thai, Lao
        | 0x1000..=0x109F        // Burmese
        | 0x1780..=0x17FF        // Khmer
        | 0x3040..=0x30FF        // Hiragana, Katakana
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF // Han
    ) && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_and_accents() {
        let table: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("  ...  ", &[]),
            ("Hello, World!", &["hello", "world"]),
            ("Žluťoučký KŮŇ", &["zlutoucky", "kun"]),
            ("ﬁne e\u{301}t\u{e9}", &["fine", "ete"]),
            ("foo_bar.baz@example.org", &["foo", "bar", "baz", "example", "org"]),
            ("a\0b", &["a", "b"]),
            ("漢字とkana", &["漢", "字", "と", "kana"]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        assert_eq!(words("a b c d", 2), ["a", "b"]);
        assert_eq!(words(&"x".repeat(70_000), 5), ["x".repeat(WORD_BYTES_MAX)]);
        assert_eq!(words(&"漢".repeat(70_000), 50).len(), 50);
    }
}
