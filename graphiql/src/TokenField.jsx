// A field for the bearer token, which is sent with every request of the page. A header of the same name in an operation wins.
import { useGraphiQLActions } from "@graphiql/react";
import { useEffect, useState } from "react";
import { createPortal } from "react-dom";
import { operations, setToken } from "./fetcher.js";

/** Rendered into the element `token-slot` at the bottom of the page, because GraphiQL's actions exist only inside GraphiQL. */
export function TokenField() {
  const { introspect } = useGraphiQLActions();
  const [slot, setSlot] = useState(null);
  useEffect(() => setSlot(document.getElementById("token-slot")), []);
  const [sent, setSent] = useState("");
  const apply = (value) => {
    if (value === sent) return;
    setSent(value);
    setToken(value);
    // The schema and the state of the APIs may need it.
    introspect();
    operations.dispatchEvent(new CustomEvent("token"));
  };
  if (!slot) return null;
  return createPortal(
    <form
      className="token"
      onSubmit={(event) => {
        event.preventDefault();
        apply(event.currentTarget.elements.token.value);
      }}
    >
      <label htmlFor="token">Token</label>
      <input
        id="token"
        name="token"
        type="password"
        autoComplete="off"
        placeholder="if required"
        title="Sent as “Authorization: Bearer …”. It is not stored."
        onBlur={(event) => apply(event.target.value)}
      />
    </form>,
    slot,
  );
}
