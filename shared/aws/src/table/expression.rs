use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// What a write does, on which condition, with which values. Attribute names are written `#name` in it, since many words
/// are reserved, and values `:name`.
#[derive(Default)]
pub(crate) struct Expression {
    pub(crate) update: String,
    pub(crate) condition: Option<String>,
    pub(crate) names: Option<HashMap<String, String>>,
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Expression {
    /// The expression of an update, on this condition if there is one.
    pub(crate) fn new(update: &str, condition: Option<&str>) -> Self {
        let mut names = HashMap::new();
        for text in [Some(update), condition].into_iter().flatten() {
            for word in text.split('#').skip(1) {
                let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
                names.insert(format!("#{}", &word[..end]), word[..end].to_owned());
            }
        }
        Self {
            update: update.to_owned(),
            condition: condition.map(str::to_owned),
            names: (!names.is_empty()).then_some(names),
            values: None,
        }
    }

    /// The expression of a write or a query that only has a condition.
    pub(crate) fn condition(condition: &str) -> Self {
        Self::new("", Some(condition))
    }

    /// With the value that is written `:name` in it.
    pub(crate) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.get_or_insert_default().insert(format!(":{name}"), value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_expression() {
        let expression = Expression::new("SET #status = :s, #at=:a REMOVE #due", Some("attribute_exists(#pk)"));
        let mut names: Vec<_> = expression.names.unwrap().into_values().collect();
        names.sort();
        assert_eq!(names, ["at", "due", "pk", "status"]);
    }
}
