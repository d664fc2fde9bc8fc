// The supervision tree as lines that are indented by their depth: {key, depth} with root, kind and members, or actor.

/** The supervisor's children in start order, those of one kind (ingest/BTCUSDT, ...) below a line of their own. */
function children(actors) {
  const kinds = new Map();
  const below = [];
  for (const actor of actors) {
    const [kind, rest] = actor.name.split("/");
    if (rest === undefined) below.push({ key: actor.name, depth: 2, actor });
    else if (kinds.has(kind)) kinds.get(kind).push(actor);
    else {
      const members = [actor];
      kinds.set(kind, members);
      below.push({ key: `${kind}/`, depth: 2, kind, members });
    }
  }
  return below;
}

/** The lines of the whole tree: main, the supervisor below it, and its children; not those in a kind that is folded. */
export function lines(actors, service, isConnected, folded) {
  const root = { started_at: service?.started_at ?? null };
  const below = children(actors).flatMap((item) => (item.members && !folded.has(item.kind)
    ? [item, ...item.members.map((actor) => ({ key: actor.name, depth: 3, actor }))] : [item]));
  return [
    { key: "main", depth: 0, root: { ...root, state: isConnected ? "running" : "silent" } },
    { key: "supervisor", depth: 1, root: { ...root, state: service?.supervisor_answers ? "running" : "silent" } },
    ...below,
  ];
}

/** The actors with these letters in their names, without what is around them. */
export const found = (actors, wanted) => actors.filter(({ name }) => name.toLowerCase().includes(wanted)).map((actor) => ({ key: actor.name, depth: 0, actor }));

/** For each line what is drawn before its name: per level a rail that goes on, nothing, or the twig to the name. */
export function rails(items) {
  const drawn = new Array(items.length);
  const later = [];
  for (let index = items.length - 1; index >= 0; index--) {
    const { depth } = items[index];
    drawn[index] = Array.from({ length: depth }, (_, level) => {
      const goesOn = later[level + 1] === true;
      return level + 1 < depth ? (goesOn ? "rail" : "void") : goesOn ? "twig" : "twig last";
    });
    later[depth] = true;
    later.length = depth + 1;
  }
  return drawn;
}
