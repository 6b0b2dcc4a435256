package plan

import "slices"

// bounding returns the place of the operation that drops the bounding set before the root is entered, or -1 after
// complaining. A seal fills the set again, so that the same is dropped directly behind it.
func (c *checker) bounding() int {
	drops, seals := find[DropBounding](c.ops), find[Seal](c.ops)
	want := 1
	if len(seals) > 0 {
		want = 2
	}
	if len(drops) != want {
		c.failPlan("%d times DropBounding, want %d", len(drops), want)
		return -1
	}
	if want == 2 {
		if c.ops[drops[0]].Action != c.ops[drops[1]].Action {
			c.fail(drops[1], "another set than was dropped first")
		}
		if c.afterSeal(seals[len(seals)-1]) != drops[1] {
			c.fail(drops[1], "must come directly behind the seal, which has filled the set")
		}
	}
	return drops[0]
}

// afterSeal returns the place of what comes behind the seal and what lets its maps be written.
func (c *checker) afterSeal(seal int) int {
	if is[SetDumpable](c.ops[seal+1]) {
		return seal + 2
	}
	return seal + 1
}

// sealed checks the seal and the limits of namespaces.
func (c *checker) sealed() {
	seals, proofs, limits := find[Seal](c.ops), find[ProveSeal](c.ops), find[LimitNamespaces](c.ops)
	ownUser := c.ops[find[Clone](c.ops)[0]].Action.(Clone).Namespaces&UserNS != 0
	var trusted, later []int
	for i, op := range c.ops {
		switch a := op.Action.(type) {
		case RunHooks, Unshare:
			trusted = append(trusted, i)
		case RunHook:
			if a.Point != "startContainer" {
				trusted = append(trusted, i)
			}
		case NewSession, JoinKeyring, SetExecLabel, SetIDs, ReopenConsole:
			later = append(later, i)
		}
	}
	if len(seals)+len(limits)+len(proofs) == 0 {
		return
	}
	c.before(trusted, slices.Concat(seals, limits), "limits are not for what the runtime makes")
	c.before(slices.Concat(seals, limits), later, "it takes privileges, and what the payload has belongs into the seal")
	if len(seals) == 0 {
		switch {
		case len(proofs) > 0:
			c.fail(proofs[0], "there is no seal to prove")
		case len(limits) > 1:
			c.fail(limits[1], "limits are written twice")
		case !ownUser:
			c.fail(limits[0], "the user namespace is not the container's own")
		}
		return
	}
	if len(limits) > 0 {
		c.fail(limits[0], "who writes limits from inside can raise them")
	}
	c.before(find[RaiseRlimits](c.ops), seals, "it is for the user namespace that is made")
	c.sealOrder(seals, ownUser)
	c.sealProof(seals, proofs)
}

// sealOrder checks that there is a user namespace of the container's own around the seal, and that no mount is
// changed any more.
func (c *checker) sealOrder(seals []int, ownUser bool) {
	last := seals[len(seals)-1]
	want := 2
	if ownUser {
		want = 1
	}
	if len(seals) != want {
		c.fail(last, "%d new user namespaces, want %d", len(seals), want)
		return
	}
	if first := c.ops[seals[0]].Action.(Seal); want == 2 && (seals[0] != last-1 || first.Namespaces != UserNS || len(first.Limits) > 0) {
		c.fail(seals[0], "must be a user namespace alone, directly before the seal, and not limit the one that it is in")
	}
	a := c.ops[last].Action.(Seal)
	if a.Namespaces != UserNS|MountNS {
		c.fail(last, "mounts are locked in a new user and mount namespace")
	}
	for _, kind := range [...]Namespace{UserNS, CgroupNS} {
		if !slices.Contains(a.Limits, NamespaceLimit{kind, 0}) {
			c.fail(last, "must allow no more %s namespaces", kind)
		}
	}
	for i, op := range c.ops[seals[0]:] {
		switch op.Action.(type) {
		case AttachRoot, SetPropagation, SetMountAttributes, MaskPath, ReadonlyPath, Unmount, NewFilesystem:
			c.fail(seals[0]+i, "a mount is changed after the seal")
		}
		if inTree(op.Action) || enters(op.Action) {
			c.fail(seals[0]+i, "a mount is changed after the seal")
		}
	}
}

// sealProof checks that what was covered is what the seal is proven with.
func (c *checker) sealProof(seals, proofs []int) {
	after := c.afterSeal(seals[len(seals)-1]) + 1
	if len(proofs) != 1 || proofs[0] != after {
		c.fail(seals[len(seals)-1], "must be proven once the bounding set is dropped again")
		return
	}
	var masked, readonly []string
	for _, op := range c.ops {
		switch a := op.Action.(type) {
		case MaskPath:
			masked = append(masked, a.Path)
		case ReadonlyPath:
			readonly = append(readonly, a.Path)
		}
	}
	if p := c.ops[after].Action.(ProveSeal); !slices.Equal(p.Masked, masked) || !slices.Equal(p.Readonly, readonly) {
		c.fail(after, "must try what was covered")
	}
}
