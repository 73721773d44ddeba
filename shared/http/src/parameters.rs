use attendance::{Roster, Tolerance};
use axum::extract::Query;
use axum::http::Uri;

use crate::{ApiError, Code};

/// The query of a request, decoded. Names that nobody asks for are ignored.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The parameters in the query of this address.
    pub(crate) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) =
            Query::try_from_uri(uri).map_err(|_| ApiError::invalid("the query", "`name=value` pairs joined by `&`"))?;
        Ok(Self(pairs))
    }

    /// The one value of this name, or `None` if there is none.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(ApiError::new(Code::DuplicateField, format!("{name} is given twice; give it once")));
        }
        Ok(value)
    }

    /// The one value of this name as a text of its own, or `None` if there is none.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.one(name).map(|value| value.map(str::to_owned))
    }
}

/// The largest distance to dispatch, as the client gave it.
pub(crate) fn min_conf(text: &str) -> Result<f64, ApiError> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    number.ok_or_else(|| ApiError::invalid("min_conf", "a number from 0, as in `0.4`"))
}

/// The largest distance to dispatch; `None`, the service's tolerance, if it is 0.
pub(crate) fn within(min_conf: f64) -> Option<Tolerance> {
    // What only an f64 can hold still means "next to nothing" or "everything".
    (min_conf != 0.0).then(|| Tolerance::new((min_conf as f32).clamp(f32::MIN_POSITIVE, f32::MAX))).flatten()
}

/// Whom to look for; everybody, `None`, if the value is absent.
pub(crate) fn roster(value: Option<&str>) -> Result<Option<Roster>, ApiError> {
    let allowed = "student ids separated by commas, as in `siswaA,siswaB`";
    value.map(|text| Roster::parse(text).map_err(|_| ApiError::invalid("roster", allowed))).transpose()
}

/// Whether a switch is on. In any case, because Python clients send `True`.
pub(crate) fn switch(name: &str, text: &str) -> Result<bool, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ApiError::invalid(name, "`true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_conf_takes_distances_and_nothing_else() {
        for zero in ["0", "0.0", "-0"] {
            assert_eq!(within(min_conf(zero).expect(zero)), None);
        }
        assert_eq!(within(min_conf("0.25").expect("a number")), Tolerance::new(0.25));
        for huge in ["7", "1e39"] {
            assert!(within(min_conf(huge).expect(huge)).is_some_and(|t| t.admits(6.9)), "{huge}");
        }
        assert!(within(min_conf("1e-60").expect("tiny")).is_some_and(|t| !t.admits(1e-3)));
        for wrong in ["", "abc", "-1", "-0.01", "NaN", "nan", "inf", "-inf", "infinity", "1e999", "0,4", " 0.4"] {
            assert_eq!(min_conf(wrong).map_err(|e| e.code()), Err(Code::InvalidParameter), "{wrong:?}");
        }
    }

    #[test]
    fn switches_are_true_or_false() {
        for (text, on) in [("true", true), ("True", true), ("1", true), ("false", false), ("0", false)] {
            assert_eq!(switch("send_unknown", text).expect(text), on);
        }
        for wrong in ["", "yes", "2", "tru"] {
            assert!(switch("send_unknown", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused_and_others_are_ignored() {
        let uri = "/x?a=1&b=2&a=3&c=%2Fd".parse().expect("an address");
        let parameters = Parameters::of(&uri).expect("pairs");
        assert_eq!(parameters.one("a").map_err(|e| e.code()), Err(Code::DuplicateField));
        assert_eq!(parameters.one("c").expect("once"), Some("/d"));
        assert_eq!(parameters.one("d").expect("absent"), None);
    }
}
