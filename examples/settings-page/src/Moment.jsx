// Times: on the clock ("12:03:20"), and how long ago ("4 min ago"), which goes on by itself.
import { useEffect, useState } from "react";

const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

/** "12:03:20", and with the day where it is not today's. */
export function clock(moment) {
  const at = new Date(moment);
  return at.toDateString() === new Date().toDateString() ? time.format(at) : `${day.format(at)}, ${time.format(at)}`;
}

function ago(at, now) {
  const minutes = Math.round((now - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 36 * 60) return `${Math.round(minutes / 60)} h ago`;
  if (minutes < 45 * 24 * 60) return `${Math.round(minutes / 1440)} days ago`;
  return `on ${date.format(at)}`;
}

export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ at }) {
  const now = useNow(30_000);
  const moment = new Date(at);
  return (
    <time dateTime={at} title={whole.format(moment)}>
      {ago(moment, now)}
    </time>
  );
}

export const Clock = ({ at }) => <time dateTime={new Date(at).toISOString()}>{clock(at)}</time>;
export const Day = ({ at }) => <time dateTime={at}>{date.format(new Date(at))}</time>;
