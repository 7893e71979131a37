// Requests to the server; changes carry the token of the page.

const token = document.querySelector('meta[name="csrf"]').content;
const offline = document.getElementById("offline");

export function path(id) {
  return id.split("/").map(encodeURIComponent).join("/");
}

export async function runs() {
  try {
    const answer = await fetch("/api/runs");
    offline.hidden = answer.ok;
    return answer.ok ? await answer.json() : null;
  } catch {
    offline.hidden = false;
    return null;
  }
}

export async function act(what, id) {
  try {
    const answer = await fetch(`/api/${what}/${path(id)}`, { method: "POST", headers: { "X-AgentOS-Token": token } });
    const found = await answer.json().catch(() => ({ error: "reload the page: the server is another one" }));
    return found.error ? { error: found.error } : { done: found.done };
  } catch {
    return { error: "the server cannot be reached" };
  }
}

// Hands each part of a run to its listener whenever it changes; returns how to stop.
export function follow(id, listeners) {
  const source = new EventSource(`/api/events/${path(id)}`);
  source.onopen = () => { offline.hidden = true; };
  source.onerror = () => { offline.hidden = false; };
  for (const [name, listener] of Object.entries(listeners)) {
    source.addEventListener(name, event => listener(JSON.parse(event.data)));
  }
  return () => source.close();
}
