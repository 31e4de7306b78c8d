package control

import "github.com/hubfs/hubfs/hub"

// table has every method, sorted by name. The handlers are in methods_*.go, by the API's own groups.
var table = []Method{
	value("CommitScheduler.push_to_hub", "CommitInfo", "Push the folder that hubfs sync pushes now, and give the commit; null if nothing has changed.", schedulerPush),
	value("CommitScheduler.stop", "None", "Push the folder a last time and end its hubfs sync.", schedulerStop),
	value("CommitScheduler.trigger", "None", "Have the folder that hubfs sync pushes pushed soon.", schedulerTrigger),
	value("accept_access_request", "None", "Let a user into a gated repository who asked for it.", acceptAccess),
	value("add_collection_item", "Collection", "Put a repository or a paper at the end of a collection.", addCollectionItem),
	value("add_space_secret", "None", "Set a secret of a Space, which restarts with it; nobody is shown it again.", addSpaceSecret),
	value("add_space_variable", "dict[str, SpaceVariable]", "Set a variable of a Space, which restarts with it, and give all.", addSpaceVariable),
	value("auth_check", "None", "Check that a repository may be read; the error says why not.", authCheck),
	value("cancel_access_request", "None", "Make a request for access wait again.", cancelAccess),
	value("change_discussion_status", "DiscussionStatusChange", "Close or open a discussion or pull request.", changeDiscussionStatus),
	value("comment_discussion", "DiscussionComment", "Add a comment to a discussion or pull request.", commentDiscussion),
	value("create_branch", "None", "Create a branch.", createBranch),
	value("create_collection", "Collection", "Create an empty collection.", createCollection),
	value("create_commit", "CommitInfo", "Make one commit of additions, deletions and copies.", createCommit),
	value("create_discussion", "DiscussionWithDetails", "Open a discussion.", createDiscussion),
	value("create_inference_endpoint", "InferenceEndpoint", "Deploy a model.", createInferenceEndpoint),
	value("create_pull_request", "DiscussionWithDetails", "Open a pull request, as a draft without commits.", createPullRequest),
	value("create_repo", "RepoUrl", "Create an empty repository.", createRepo),
	value("create_tag", "None", "Tag a commit.", createTag),
	value("create_webhook", "WebhookInfo", "Register a URL to be told of what happens to repositories.", createWebhook),
	value("dataset_info", "DatasetInfo", "Describe a dataset at a revision.", datasetInfo),
	value("delete_branch", "None", "Delete a branch.", deleteBranch),
	value("delete_collection", "None", "Delete a collection, not what is in it.", deleteCollection),
	value("delete_collection_item", "None", "Remove an item from a collection.", deleteCollectionItem),
	value("delete_file", "CommitInfo", "Delete a file.", deleteFile),
	value("delete_files", "CommitInfo", "Delete the files that match one of the patterns.", deleteFiles),
	value("delete_folder", "CommitInfo", "Delete a folder and everything below it.", deleteFolder),
	value("delete_inference_endpoint", "None", "Remove an inference endpoint. This can't be undone.", deleteInferenceEndpoint),
	value("delete_repo", "None", "Delete a repository with all its history. This can't be undone.", deleteRepo),
	value("delete_space_secret", "None", "Remove a secret of a Space.", deleteSpaceSecret),
	value("delete_space_storage", "SpaceRuntime", "Remove the persistent storage of a Space with all that is in it. This can't be undone.", deleteSpaceStorage),
	value("delete_space_variable", "dict[str, SpaceVariable]", "Remove a variable of a Space and give those that are left.", deleteSpaceVariable),
	value("delete_tag", "None", "Delete a tag.", deleteTag),
	value("delete_webhook", "None", "Remove a webhook.", deleteWebhook),
	value("disable_webhook", "WebhookInfo", "Keep a webhook from telling.", disableWebhook),
	value("duplicate_space", "RepoUrl", "Copy a Space, with its variables and without its secrets.", duplicateSpace),
	value("edit_discussion_comment", "DiscussionComment", "Replace the text of a comment.", editDiscussionComment),
	value("enable_webhook", "WebhookInfo", "Let a webhook tell again.", enableWebhook),
	value("file_exists", "bool", "Say whether a file exists at a revision.", fileExists),
	value("get_collection", "Collection", "Give a collection with all its items.", getCollection),
	value("get_dataset_tags", "dict", "Give the tags of datasets by their types.", getDatasetTags),
	value("get_discussion_details", "DiscussionWithDetails", "Give a discussion or pull request with its events, diff and conflicts.", getDiscussionDetails),
	value("get_full_repo_name", "str", "Put the namespace before the name of a repository.", getFullRepoName),
	value("get_hf_file_metadata", "HfFileMetadata", "Ask for commit, ETag, size and place of a file by its URL.", getHFFileMetadata),
	value("get_inference_endpoint", "InferenceEndpoint", "Describe an inference endpoint.", getInferenceEndpoint),
	value("get_model_tags", "dict", "Give the tags of models by their types.", getModelTags),
	list("get_paths_info", "RepoFile | RepoFolder", "Describe files and folders by their paths; missing ones are left out.", getPathsInfo),
	list("get_repo_discussions", "Discussion", "List the discussions and pull requests of a repository, newest first.", getRepoDiscussions),
	value("get_safetensors_metadata", "SafetensorsRepoMetadata", "Read the headers of a repository's safetensors weights.", getSafetensors),
	value("get_space_runtime", "SpaceRuntime", "Tell what a Space does and what it runs on.", getSpaceRuntime),
	value("get_space_variables", "dict[str, SpaceVariable]", "Give the variables of a Space.", getSpaceVariables),
	value("get_token_permission", "str", "Tell what the token is good for: read, write or fineGrained; null if it isn't known.", getTokenPermission),
	value("get_user_overview", "User", "Describe a user.", getUserOverview),
	value("get_webhook", "WebhookInfo", "Describe a webhook.", getWebhook),
	value("grant_access", "None", "Let a user into a gated repository who hasn't asked.", grantAccess),
	value("hf_hub_download", "str", "Download a file into the shared cache and give its path there.", hfHubDownload),
	value("hide_discussion_comment", "DiscussionComment", "Remove the text of a comment. This can't be undone.", hideDiscussionComment),
	value("like", "None", "Like a repository.", like),
	value("list_accepted_access_requests", "list[AccessRequest]", "List who has access to a gated repository.", accessRequests(hub.AccessAccepted)),
	list("list_collections", "Collection", "List collections, each with its first items.", listCollections),
	list("list_datasets", "DatasetInfo", "List datasets.", listDatasets),
	value("list_inference_endpoints", "list[InferenceEndpoint]", "List the inference endpoints of a namespace.", listInferenceEndpoints),
	value("list_liked_repos", "UserLikes", "Give the public repositories that a user likes.", listLikedRepos),
	list("list_models", "ModelInfo", "List models.", listModels),
	list("list_organization_members", "User", "List the members of an organisation.", listOrganizationMembers),
	list("list_papers", "PaperInfo", "Search papers.", listPapers),
	value("list_pending_access_requests", "list[AccessRequest]", "List who waits for access to a gated repository.", accessRequests(hub.AccessPending)),
	value("list_rejected_access_requests", "list[AccessRequest]", "List who was refused access to a gated repository.", accessRequests(hub.AccessRejected)),
	list("list_repo_commits", "GitCommitInfo", "List the history of a revision, newest first.", listRepoCommits),
	list("list_repo_files", "str", "List the paths of all files of a revision.", listRepoFiles),
	list("list_repo_likers", "User", "List who likes a repository.", listRepoLikers),
	value("list_repo_refs", "GitRefs", "List branches and tags.", listRepoRefs),
	list("list_repo_tree", "RepoFile | RepoFolder", "List a folder of a revision.", listRepoTree),
	list("list_spaces", "SpaceInfo", "List Spaces.", listSpaces),
	list("list_user_followers", "User", "List who follows a user.", listUserFollowers),
	list("list_user_following", "User", "List whom a user follows.", listUserFollowing),
	value("list_webhooks", "list[WebhookInfo]", "List the user's webhooks.", listWebhooks),
	value("merge_pull_request", "None", "Merge a pull request into its target branch.", mergePullRequest),
	value("model_info", "ModelInfo", "Describe a model at a revision.", modelInfo),
	value("move_repo", "None", "Rename a repository, or give it to another namespace.", moveRepo),
	value("paper_info", "PaperInfo", "Describe a paper.", paperInfo),
	value("parse_safetensors_file_metadata", "SafetensorsFileMetadata", "Read the header of a safetensors file.", parseSafetensors),
	value("pause_inference_endpoint", "InferenceEndpoint", "Stop an inference endpoint until it is resumed.", pauseInferenceEndpoint),
	value("pause_space", "SpaceRuntime", "Stop a Space until it is restarted.", pauseSpace),
	value("preupload_lfs_files", "None", "Upload large files ahead of the commit that will add them.", preuploadLFSFiles),
	value("reject_access_request", "None", "Refuse a user access to a gated repository.", rejectAccess),
	value("rename_discussion", "DiscussionTitleChange", "Change the title of a discussion or pull request.", renameDiscussion),
	value("repo_exists", "bool", "Say whether a repository exists.", repoExists),
	value("repo_info", "ModelInfo | DatasetInfo | SpaceInfo", "Describe a repository of any type at a revision.", getRepoInfo),
	value("request_space_hardware", "SpaceRuntime", "Move a Space to other hardware.", requestSpaceHardware),
	value("request_space_storage", "SpaceRuntime", "Give a Space persistent storage.", requestSpaceStorage),
	value("restart_space", "SpaceRuntime", "Start a Space again.", restartSpace),
	value("resume_inference_endpoint", "InferenceEndpoint", "Start a paused inference endpoint.", resumeInferenceEndpoint),
	value("revision_exists", "bool", "Say whether a revision exists.", revisionExists),
	value(runAsFutureName, "dict", "Run a method in the background, in the daemon: the answer is its job.", runAsFuture),
	value("scale_to_zero_inference_endpoint", "InferenceEndpoint", "Stop an inference endpoint until the next request to it.", scaleToZeroInferenceEndpoint),
	value("set_space_sleep_time", "SpaceRuntime", "Say after how long without use a Space sleeps.", setSpaceSleepTime),
	value("snapshot_download", "str", "Download a revision into the shared cache and give its folder there.", snapshotDownload),
	value("space_info", "SpaceInfo", "Describe a Space at a revision.", spaceInfo),
	value("super_squash_history", "None", "Make a branch one commit with the same content. This can't be undone.", superSquashHistory),
	value("unlike", "None", "Take a like back.", unlike),
	value("update_collection_item", "None", "Change the note or the place of an item of a collection.", updateCollectionItem),
	value("update_collection_metadata", "Collection", "Change title, description, place, visibility or colour of a collection.", updateCollectionMetadata),
	value("update_inference_endpoint", "InferenceEndpoint", "Change the model or the hardware of an inference endpoint.", updateInferenceEndpoint),
	value("update_repo_settings", "None", "Change visibility and gating of a repository.", updateRepoSettings),
	value("update_repo_visibility", "dict", "Make a repository private or public.", updateRepoVisibility),
	value("update_webhook", "WebhookInfo", "Change a webhook; what is left out stays.", updateWebhook),
	value("upload_file", "CommitInfo", "Add or replace a file.", uploadFile),
	value("upload_folder", "CommitInfo", "Add the files of a local folder.", uploadFolder),
	value("upload_large_folder", "None", "Add a folder of any size, in many commits; goes on where it was interrupted.", uploadLargeFolder),
	value("whoami", "dict", "Tell who the token belongs to.", whoami),
}

// inRepo is the part of a parameter struct that names a repository of any type.
type inRepo struct {
	RepoID   string       `param:"repo_id" required:"true" doc:"namespace/name"`
	RepoType hub.RepoType `param:"repo_type" default:"model" enum:"model|dataset|space" doc:"type of the repository"`
	caller
}

func (p *inRepo) repo() hub.Repo { return hub.Repo{Type: p.RepoType, ID: p.RepoID} }

// atRevision is the part of a parameter struct that names a revision.
type atRevision struct {
	Revision string `param:"revision" doc:"branch, tag, refs/pr/N or commit; the default branch if left out"`
}

// orMain is the revision that HfApi means by none.
func (p *atRevision) orMain() string {
	if p.Revision == "" {
		return "main"
	}
	return p.Revision
}
