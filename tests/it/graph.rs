//! The graph as a client sees it, and the exact upstream calls behind each answer.

mod roots;
mod accounts_paging;
mod providers_paging;
