//! Certificates and keys in PEM files: whether a file holds what it is named for.
//!
//! The mistakes that happen are the two files exchanged, an encrypted key, and an empty or cut file. Those are said when
//! the configuration is checked rather than when the first client connects; whether a certificate is any good is the
//! TLS library's judgement.

/// What a PEM file is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Certificates,
    PrivateKey,
}

/// Looks at the blocks of a PEM text (RFC 7468).
///
/// # Errors
/// Words that follow the file's name.
pub fn check(text: &str, expected: Expected) -> Result<(), String> {
    let labels = labels(text)?;
    let is_key = |label: &&&str| label.ends_with("PRIVATE KEY");
    match expected {
        Expected::Certificates if labels.contains(&"CERTIFICATE") => Ok(()),
        Expected::Certificates if labels.iter().any(|label| is_key(&label)) => {
            Err("holds a private key where a certificate is wanted".to_owned())
        }
        Expected::Certificates => Err("holds no certificate".to_owned()),
        Expected::PrivateKey => match labels.iter().find(is_key) {
            Some(label) if label.contains("ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED") => {
                Err("holds an encrypted private key, and nobody is there to type the password".to_owned())
            }
            Some(_) => Ok(()),
            None if labels.contains(&"CERTIFICATE") => {
                Err("holds a certificate where a private key is wanted".to_owned())
            }
            None => Err("holds no private key".to_owned()),
        },
    }
}

/// The label of each block, in order.
fn labels(text: &str) -> Result<Vec<&str>, String> {
    let mut labels = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let mut content_lines = 0_usize;
        loop {
            match lines.next() {
                None => return Err("is cut off in the middle of a block".to_owned()),
                Some(line) if line == end => break,
                Some(line) if is_content(line) => content_lines = content_lines.saturating_add(1),
                Some(_) => return Err("holds a block that is not Base64".to_owned()),
            }
        }
        if content_lines == 0 {
            return Err("holds an empty block".to_owned());
        }
        labels.push(label);
    }
    Ok(labels)
}

/// Base64, or a header of the older key format (`DEK-Info: …`), or the empty line behind it.
fn is_content(line: &str) -> bool {
    line.contains(": ") || line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(label: &str) -> String {
        format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
    }

    #[test]
    fn files_hold_what_they_are_named_for() {
        let chain = format!("a comment\n{}{}", block("CERTIFICATE"), block("CERTIFICATE"));
        assert_eq!(check(&chain, Expected::Certificates), Ok(()));
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            assert_eq!(check(&block(label), Expected::PrivateKey), Ok(()), "{label}");
        }
        let parameters_first = block("EC PARAMETERS") + &block("EC PRIVATE KEY");
        assert_eq!(check(&parameters_first, Expected::PrivateKey), Ok(()));
    }

    #[test]
    fn exchanged_encrypted_empty_and_cut_files_are_named() {
        let words = |text: &str, expected| check(text, expected).unwrap_err();
        assert!(words(&block("PRIVATE KEY"), Expected::Certificates).contains("holds a private key where"));
        assert!(words(&block("CERTIFICATE"), Expected::PrivateKey).contains("holds a certificate where"));
        assert!(words(&block("ENCRYPTED PRIVATE KEY"), Expected::PrivateKey).contains("encrypted"));
        assert!(words("", Expected::PrivateKey).contains("no private key"));
        assert!(words("", Expected::Certificates).contains("no certificate"));
        assert!(words("-----BEGIN CERTIFICATE-----\nAAAA\n", Expected::Certificates).contains("cut off"));
        assert!(
            words("-----BEGIN CERTIFICATE-----\n<html>\n-----END CERTIFICATE-----", Expected::Certificates)
                .contains("Base64")
        );
        assert!(
            words("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", Expected::Certificates).contains("empty")
        );
    }
}
