//! The number of objects per type that a router requests from `_entities`.
//!
//! The representations are an argument, usually a variable. A fragment on a type applies only to the objects of that
//! type.

use std::collections::HashMap;

use apollo_compiler::ast::Value as Literal;
use async_graphql::{Value, Variables};

use super::argument::to_f64;

/// Numbers of representations.
#[derive(Debug, Clone, Default)]
pub(super) struct Representations {
    by_type: HashMap<String, usize>,
    all: usize,
}

impl Representations {
    /// Counts the representations of an argument.
    pub(super) fn of(argument: &Literal, variables: &Variables) -> Self {
        let mut read = Self::default();
        match argument {
            Literal::List(items) => items.iter().for_each(|item| read.literal(item, variables)),
            Literal::Variable(name) => match variables.get(name.as_str()) {
                Some(Value::List(items)) => items.iter().for_each(|item| read.value(item)),
                Some(lone) => read.value(lone),
                None => {}
            },
            lone => read.literal(lone, variables),
        }
        read
    }

    fn literal(&mut self, representation: &Literal, variables: &Variables) {
        match representation {
            Literal::Variable(name) => variables.get(name.as_str()).into_iter().for_each(|it| self.value(it)),
            Literal::Object(members) => {
                let name = members.iter().find(|(name, _)| name == "__typename").map(|(_, value)| &**value);
                match name {
                    Some(Literal::String(name)) => self.add(Some(name)),
                    Some(Literal::Variable(variable)) => self.add_value(variables.get(variable.as_str())),
                    _ => self.add(None),
                }
            }
            _ => self.add(None),
        }
    }

    fn value(&mut self, representation: &Value) {
        match representation {
            Value::Object(members) => self.add_value(members.get("__typename")),
            _ => self.add(None),
        }
    }

    fn add_value(&mut self, name: Option<&Value>) {
        match name {
            Some(Value::String(name)) => self.add(Some(name)),
            _ => self.add(None),
        }
    }

    /// Counts a representation. One without a type resolves to no object, but to a null in the response.
    fn add(&mut self, type_name: Option<&str>) {
        self.all += 1;
        if let Some(name) = type_name {
            *self.by_type.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Returns the number of representations.
    pub(super) fn all(&self) -> f64 {
        to_f64(self.all)
    }

    /// Returns the number of representations of a type.
    pub(super) fn of_type(&self, name: &str) -> f64 {
        to_f64(self.by_type.get(name).copied().unwrap_or_default())
    }
}
