//! What WebSocket clients send.

use serde::{Deserialize, Serialize};

/// The text that answers [`Action::Ping`].
pub const PONG: &str = r#"{"type":"pong"}"#;

/// What a client of the WebSocket asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A sign of life; [`PONG`] is the answer.
    Ping,
    /// The messages after the one with this `seq`, as far as they are kept, then all that follow.
    Resume {
        /// The `seq` of the last message that the client saw.
        since: u64,
    },
}

impl Action {
    /// Returns the action in this text, or `None` if it holds no known one: such texts are ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_actions_are_parsed_and_other_texts_are_ignored() {
        assert_eq!(Action::parse(r#"{"action":"ping"}"#), Some(Action::Ping));
        assert_eq!(Action::parse(r#"{"action":"resume","since":7,"more":1}"#), Some(Action::Resume { since: 7 }));
        let ignored = ["", "ping", "{}", "[]", r#"{"action":"dance"}"#, r#"{"action":"resume"}"#, r#"{"action":7}"#];
        for text in ignored.into_iter().chain([r#"{"action":"resume","since":-1}"#]) {
            assert_eq!(Action::parse(text), None, "{text}");
        }
    }
}
