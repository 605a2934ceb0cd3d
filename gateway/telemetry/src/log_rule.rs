//! Which of a listener's exchanges are logged, where that is not all of them.

use portcullis_exchange::Exchange;

use crate::Expression;

/// What the access log of a listener leaves out.
#[derive(Clone, Debug, PartialEq)]
pub enum LogRule {
    /// Everything.
    Never,
    /// What this does not hold of.
    When(Expression),
}

impl LogRule {
    /// Whether an exchange that has ended is logged.
    pub fn takes(&self, exchange: &Exchange) -> bool {
        match self {
            LogRule::Never => false,
            LogRule::When(expression) => expression.holds(exchange),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_logged_where_the_expression_holds() {
        let exchange = Exchange::for_test();
        let when = |text| LogRule::When(Expression::parse(text).unwrap());
        assert!(when("request.method == 'GET'").takes(&exchange));
        assert!(!when("request.method == 'PUT'").takes(&exchange));
        assert!(!LogRule::Never.takes(&exchange));
    }
}
