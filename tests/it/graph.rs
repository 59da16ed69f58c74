//! The graph as a client sees it, and the exact upstream calls behind each answer.

mod accounts_paging;
mod bad_input;
mod changing_lists;
mod joined;
mod providers_paging;
mod roots;
mod sdl;
