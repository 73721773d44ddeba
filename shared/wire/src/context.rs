use attendance::Context;
use serde::{Deserialize, Serialize};

/// Where a frame comes from, as fields of an event and of a push. Absent fields are absent from the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ContextFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

impl From<Context> for ContextFields {
    fn from(Context { device_id, location_id, class_id, session_id }: Context) -> Self {
        Self { device_id, location_id, class_id, session_id }
    }
}
