//! The `DateTime` scalar.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::Timestamp;

/// A timestamp.
pub(super) struct DateTime(pub(super) Timestamp);

/// A timestamp in RFC 3339 format, always with an offset.
#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => {
                let wrong =
                    |_| InputValueError::custom("a DateTime is an RFC 3339 text like `2026-04-17T10:30:00Z`");
                text.parse().map(Self).map_err(wrong)
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Converts an optional timestamp to a field's value.
pub(super) fn date_time(at: Option<Timestamp>) -> Option<DateTime> {
    at.map(DateTime)
}
