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

    /// The one value of this name, or `None` where there is none.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(ApiError::new(Code::DuplicateField, format!("{name} is given twice; give it once")));
        }
        Ok(value)
    }
}

/// The largest distance to dispatch; `None`, the service's tolerance, where the value is absent or 0.
pub(crate) fn min_conf(value: Option<&str>) -> Result<Option<Tolerance>, ApiError> {
    let Some(text) = value else { return Ok(None) };
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let number = number.ok_or_else(|| ApiError::invalid("min_conf", "a number from 0, as in `0.4`"))?;
    if number == 0.0 {
        return Ok(None);
    }
    // What only an f64 can hold still means "next to nothing" or "everything".
    Ok(Tolerance::new((number as f32).clamp(f32::MIN_POSITIVE, f32::MAX)))
}

/// Whom to look for; everybody, `None`, where the value is absent.
pub(crate) fn roster(value: Option<&str>) -> Result<Option<Roster>, ApiError> {
    let allowed = "student ids separated by commas, as in `siswaA,siswaB`";
    value.map(|text| Roster::parse(text).map_err(|_| ApiError::invalid("roster", allowed))).transpose()
}

/// Whether a switch is on; off where it is absent. In any case, because Python clients send `True`.
pub(crate) fn switch(name: &str, value: Option<&str>) -> Result<bool, ApiError> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "1") => Ok(true),
        None | Some("false" | "0") => Ok(false),
        Some(_) => Err(ApiError::invalid(name, "`true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_conf_takes_distances_and_nothing_else() {
        assert_eq!(min_conf(None).expect("absent"), None);
        for zero in ["0", "0.0", "-0"] {
            assert_eq!(min_conf(Some(zero)).expect(zero), None);
        }
        assert_eq!(min_conf(Some("0.25")).expect("a number"), Tolerance::new(0.25));
        for huge in ["7", "1e39"] {
            assert!(min_conf(Some(huge)).expect(huge).is_some_and(|t| t.admits(6.9)), "{huge}");
        }
        assert!(min_conf(Some("1e-60")).expect("tiny").is_some_and(|t| !t.admits(1e-3)));
        for wrong in ["", "abc", "-1", "-0.01", "NaN", "nan", "inf", "-inf", "infinity", "1e999", "0,4", " 0.4"] {
            assert_eq!(min_conf(Some(wrong)).map_err(|e| e.code()), Err(Code::InvalidParameter), "{wrong:?}");
        }
    }

    #[test]
    fn switches_are_true_or_false() {
        for (text, on) in [("true", true), ("True", true), ("1", true), ("false", false), ("0", false)] {
            assert_eq!(switch("send_unknown", Some(text)).expect(text), on);
        }
        for wrong in ["", "yes", "2", "tru"] {
            assert!(switch("send_unknown", Some(wrong)).is_err(), "{wrong:?}");
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
